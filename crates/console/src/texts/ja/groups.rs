//! Groups, in Japanese.

use crate::{html, texts::GroupsTexts};
use tegata_policy::{
    idle::IdleUnknown,
    rules::{CAP, WhenFull},
};

pub const TEXTS: GroupsTexts = GroupsTexts {
    intro: "グループは、自身のトークンを持つチームまたは環境です。グループは既定で種類ごとに2件の有効なトークンを\
            持てるため、古いトークンを使いながら新しいトークンを設定できます。ほかのグループには影響しません。",
    contact: |contact| html!("連絡先：{}", contact),
    no_contact: "連絡先なし",
    rule: |cap, when| match when {
        WhenFull::EvictOldest => {
            format!("種類ごとに{cap}件まで。超えると最も古いトークンが失効します。")
        }
        WhenFull::Deny => format!("種類ごとに{cap}件まで。超える発行は拒否されます。"),
    },
    channel_default: "チャネルの既定値。",
    own_setting: "グループの設定。",
    keys: |count| match count {
        0 => "アサーション署名キーなし。".to_owned(),
        _ => format!("アサーション署名キー{count}件。"),
    },
    edit: "グループを開く",
    view_tokens: "トークンを表示する",
    delete: "削除する…",
    older: "古い",
    newer: "新しい",
    no_replacement: "後継なし",
    free: "空き",
    no_tokens: "トークンなし",
    rotation: "更新中",
    issue: "新しいトークンを発行する",
    issued: |at| html!("{}に発行しました。", at),
    wait: "古いトークンが使われなくなるまで待つ",
    older_used: |when| format!("古いトークンの最終使用は{when}です。"),
    older_never: "古いトークンは一度も使われていません。",
    newer_used: |when| format!("新しいトークンの最終使用は{when}です。"),
    newer_never: "新しいトークンはまだ使われていません。設定してください。",
    idle_when: "古いトークンがしばらく使われず、新しいトークンが使われていれば、古いトークンは使われなくなったとみなされます。",
    is_idle: |at| html!("古いトークンは{}から使われていません。", at),
    unknown: |why| match why {
        IdleUnknown::ReportsMissing => {
            "使われなくなったかどうかは不明です。使用をまだ報告していない検証サーバーのインスタンスがあります。"
        }
        IdleUnknown::ReportsTooOld => {
            "使われなくなったかどうかは不明です。検証サーバーのインスタンスの最後の報告が古すぎます。"
        }
        IdleUnknown::UsesLeftOut => {
            "使われなくなったかどうかは不明です。検証サーバーのインスタンスの報告が不完全でした。"
        }
    },
    expires_anyway: |at| html!("いずれにしても有効期限は{}です。", at),
    revoke: "古いトークンを取り消す",
    revoke_now: |group| html!("今取り消すと{}が中断する可能性があります。", group),
    revoke_safe: "もう使われていません。",
    review: "トークンを確認する",
    step_three: "手順3のコマンド",
    rotate: "トークンを更新する",
    needs_key: "アサーション署名キーまたはチャネルシークレットが必要です。コンソールはこれらを持っていません。",
    all_steps: "3つの手順のコマンド（最初のコマンドは鍵のあるコンピューターで実行）",
    others: "ほかのグループ",
    active: "有効なトークン",
    next_expiry: "次の有効期限",
    none_yet: "グループはまだありません",
    none_yet_why: "グループは最初のトークンまたはアサーション署名キーとともに作成されます。トークンの発行時、または\
                   キーの登録時にグループ名を指定してください。",
    settings: "設定",
    contact_hint: "グループのトークンについての問い合わせ先（チャットのチャンネルやアドレスなど）。200文字以内。",
    contact_wrong: "200文字以内で入力してください。制御文字は使えません。",
    cap: "種類ごとの有効なトークン数",
    cap_hint: |cap| format!("1〜{CAP}。空欄の場合はチャネルの既定値（{cap}）。"),
    cap_wrong: "1〜30の整数を入力するか、空欄にしてください。",
    when_full: "上限に達したとき",
    when_default: "チャネルの既定値",
    evict: "最も古いトークンを失効させる",
    deny: "新しいトークンの発行を拒否する",
    save: "設定を保存する",
    delete_under: "グループの設定とアサーション署名キーを削除し、トークンを取り消します。次のページで確認できます。",
    back: "チャネルのすべてのグループ",
    tokens: "グループの有効なトークン",
};
