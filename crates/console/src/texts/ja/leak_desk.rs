//! Leak desk, in Japanese.

use crate::{html, texts::LeakDeskTexts};
use tegata_policy::acts::TokenState;

pub const TEXTS: LeakDeskTexts = LeakDeskTexts {
    title: "漏洩対応",
    lead: "漏洩したトークン、またはトークンを含むテキストを貼り付けると、どのチャネルのもので誰が使用しているかを\
           確認できます。そのあと取り消して受領証を受け取れます。",
    leaked: "漏洩したトークン",
    another: "別のトークン",
    text: "トークン、またはトークンを含むテキスト",
    text_hint: "すべての種類のトークン（「Bearer」の有無は問いません）、または1 MiBまでのログや差分。テキストは\
                リクエスト本文で送信され、ログ、ブラウザーの履歴、監査ログには記録されません。",
    look_up: "トークンを調べる",
    too_long_why: "テキストが1 MiBを超えています。一部を貼り付けるか、下のコマンドでファイルを検索してください。\
                   何も変更されていません。",
    nothing: "トークンが見つかりません",
    nothing_why: |length| {
        format!(
            "テキスト（{length}文字）に、このサーバーの完全なトークンは含まれていません。Tegataのトークンは\
             eyJ、tgs_、tgl_のいずれかで始まります。何も変更されていません。LINEが発行したトークンは\
             LINE Developersコンソールで取り消してください。"
        )
    },
    foreign: |count| format!("{count}件はこのサーバーのトークンではありません"),
    foreign_why: "別のサーバーが発行したか、壊れているか、閲覧できないチャネルのものです。何も変更されていません。",
    forbidden: |count| format!("{count}件はトークンを閲覧できないチャネルのものです"),
    forbidden_why: "このサーバーが発行したトークンです。チャネルのAdmin、または当番の人に\
                    テキストを渡してください。調べて取り消せます。何も変更されていません。",
    more: |count| format!("ほか{count}件"),
    more_why: "まだ調べていません。上のトークンを取り消し、テキストから除いてから、残りを調べてください。",
    found: |count| format!("トークンが{count}件見つかりました"),
    heading: |state| match state {
        TokenState::Active => "有効なトークン",
        TokenState::Suspended => "停止中のチャネルのトークン",
        TokenState::Expired => "期限切れのトークン",
        TokenState::Revoked => "失効したトークン",
    },
    accepted: "受け入れられます",
    rejected: "受け入れられません",
    why: |code| match code {
        "valid" => "有効期限まで受け入れられます。",
        "valid-until-revoked" => "有効期限はありません。取り消しまたは再発行まで受け入れられます。",
        "valid-for-delay" => {
            "新しいトークンに再発行されました。猶予期間が終わるまで受け入れられます。"
        }
        "expired" => "有効期限が切れています。対応は不要です。",
        "revoked-and-expired" => "取り消され、有効期限も切れています。対応は不要です。",
        "channel-suspended" => "チャネルは停止中です。再開すると再び受け入れられます。",
        "channel-deleted" => "チャネルは削除されました。対応は不要です。",
        "signing-key-revoked" => "署名に使われた署名鍵は取り消されました。対応は不要です。",
        "signing-key-limited" => {
            "サーバーは古いコピーから復元され、このトークンはそのコピーより後に発行されました。対応は不要です。"
        }
        "evicted" => "上限に達したため、新しいトークンの発行時に失効しました。対応は不要です。",
        "reissued" => "新しい長期のトークンに再発行されました。対応は不要です。",
        "revoked" => "取り消されました。対応は不要です。",
        "revoked-with-others" => "ほかのトークンとともに取り消されました。対応は不要です。",
        _ => "有効ではありません。",
    },
    occurrences: |count| format!("{count}回出現"),
    deleted_channel: "削除されたチャネル",
    in_group: |group| html!("、グループ{}", group),
    of_provider: |provider| html!("、プロバイダー{}", provider),
    used_by: "所有者か攻撃者かは使用データからは分かりません。",
    not_recorded: "ステートレストークンの使用は記録されません。",
    affected: "影響を受けるのは",
    who_group: |group| html!("このトークンを使用しているグループ{}のクライアント。", group),
    who_channel: |channel| {
        html!("このトークンを使用している{}のクライアント。グループには属していません。", channel)
    },
    newer_unused: |id| {
        html!(
            "トークン{}のほうが新しく、まだ使われていません。これを設定してください。新たに発行する必要はありません。",
            id
        )
    },
    newer_used: |id| html!("トークン{}のほうが新しく、使用されています。", id),
    no_newer: "置き換える新しいトークンはありません。先に発行するか、中断を受け入れてください。",
    ask: |contact| html!("連絡先：{}", contact),
    others_found: "見つかったほかのトークン",
    found_one: |id, channel| html!("チャネル{1}のトークン{0}", id, channel),
    revocation: "取り消し",
    revocation_under: "漏洩を含む最小の範囲を選んでください。次のページで取り消すものを確認できます。\
                       確認するまで何も取り消されません。",
    this: "このトークンを取り消す…",
    group: |group| format!("グループ{group}のすべてのトークンを取り消す…"),
    key: "このアサーション署名キーで発行されたすべてのトークンを取り消す…",
    kind: |kind| format!("チャネルの種類{}のすべてのトークンを取り消す…", kind.name()),
    channel: "チャネルのすべてのトークンを取り消す…",
    suspend: "チャネルを停止する",
    suspend_hint: "何も取り消しません。再開するまでチャネルのすべてのトークンが使えなくなります。",
    key_hint: "秘密鍵も漏洩した可能性がある場合は、チャネル基本設定で削除してください。",
    channel_hint: "チャネルシークレットも漏洩した可能性がある場合は、チャネル基本設定で再発行してください。",
    other_secrets: "テキストに含まれるほかの秘密情報",
    admin_token: "ルート管理者のトークン：サーバーで`tegata admin reset`を実行して置き換えてください。",
    verifier_token: "検証サーバーのトークン：別の検証サーバーを作成してから、これを削除してください。",
    person_token: "個人のトークン、セッション、または招待：トークンを削除するか、メンバーを無効にしてください。",
    private_key: "秘密鍵：チャネルに登録されている場合は、削除してトークンを取り消してください。",
    packed: "base64のアーカイブ（検索されていません）：展開して内容を検索してください。",
    other: "ほかのものが漏洩しましたか",
    what: "漏洩したもの",
    what_to_do: "対応",
    rows: [
        (
            "1つの環境のトークン、アサーション署名キー、チャネルシークレット",
            "チャネルを開き、グループのトークンの取り消し、キーの削除、またはシークレットの再発行をしてください。",
            "/console",
            "チャネルを選ぶ",
        ),
        (
            "このサーバーの署名鍵",
            "署名鍵を取り消してください。この鍵で署名されたトークンは、すべてのチャネルで取り消されます。",
            "/console/signing-keys",
            "署名鍵を表示する",
        ),
        (
            "検証サーバーの認証情報",
            "別の検証サーバーを作成して認証情報を設定し、古い検証サーバーを削除してください。",
            "/console/verifiers",
            "検証サーバーを表示する",
        ),
        (
            "分からない",
            "チャネルを停止してください。再開するまですべてのトークンが使えなくなります。",
            "/console",
            "チャネルを選ぶ",
        ),
    ],
    file: "ファイル内のトークン",
    file_why: "このコマンドは、サーバーに接続せずにファイルやアーカイブ内のトークンを探します。表示されるのはIDで、\
               トークンではありません。",
    on_your_computer: "お使いのコンピューターで",
};
