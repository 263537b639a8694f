//! Tokens, in Japanese.

use crate::{html, texts::TokensTexts};
use tegata_policy::rules::{ChannelType, WhenFull};

pub const TEXTS: TokensTexts = TokensTexts {
    counts: "有効なトークンと上限",
    of: |cap| format!("/ {cap}"),
    of_cap: |active, cap| format!("上限{cap}件のうち{active}件"),
    and: "・",
    full: |cap, when| match when {
        WhenFull::Deny => format!("{}件目の発行は拒否されます。", cap + 1),
        WhenFull::EvictOldest => {
            format!("{}件目を発行すると、最も古いトークンが失効します。", cap + 1)
        }
    },
    previous: |when| format!("再発行前のトークンの有効期限は{when}です。"),
    no_limit: "上限なし",
    stateless: "有効期間は15分です。保存されないため一覧には表示されません。グループ、種類、\
                またはすべてのトークンの取り消しには含まれます。",
    not_available: "利用できません",
    only_for: |it| match it {
        ChannelType::MessagingApi => "Messaging APIチャネルのみで利用できます。",
        ChannelType::LineLogin => "LINEログインチャネルのみで利用できます。",
        ChannelType::MiniApp => "LINEミニアプリチャネルのみで利用できます。",
    },
    timeline: "タイムライン",
    by_expiry: "有効期限の近いグループ順",
    elapsed: "経過",
    remaining: "残りと有効期限",
    due: "3日以内に期限切れ",
    today: "今日",
    first: |when| format!("最初の有効期限は{when}"),
    no_active: "有効なトークンなし",
    no_replacement: "後継なし",
    older_in_use: "古いトークンを使用中",
    long_lived: "long-lived",
    more_groups: |count| format!("ほか{count}グループ"),
    all: "すべてのトークン",
    all_kinds: "すべての種類",
    all_groups: "すべてのグループ",
    key: "アサーション署名キー",
    all_keys: "すべてのキー",
    all_states: "すべての状態",
    filter: "絞り込む",
    caption: |channel| html!("{}のトークン（新しい順）", channel),
    order: "新しい順です。最終使用は1分ごとに記録されます。期限切れと失効のトークンは数日間保存されます。",
    older: "古いトークン",
    newest: "新しいトークン",
    none_yet: "トークンはまだありません",
    none_yet_why: "チャネルシークレットまたは登録済みのアサーション署名キーで発行されたトークンがここに表示されます。",
    none_found: "条件に合うトークンはありません。",
    bulk: "一括取り消し",
    what: "取り消すトークン",
    of_group: "グループのすべてのトークン",
    of_kind: "1つの種類のすべてのトークン",
    of_key: "1つのアサーション署名キーで発行されたすべてのトークン",
    of_channel: "このチャネルのすべてのトークン",
    which: "グループ、種類、またはキーID",
    which_hint: "このチャネルのすべてのトークンの場合は不要です。",
    which_wrong: |names| match names {
        "" => "このチャネルにそのようなグループ、種類、キーは1つもありません。".to_owned(),
        _ => format!("このチャネルにそのようなグループ、種類、キーはありません。あるもの：{names}"),
    },
    review: "トークンを確認する",
    first_token: "最初のトークンを発行する",
};
