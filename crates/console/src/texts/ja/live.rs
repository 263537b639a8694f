//! Live, in Japanese.

use crate::texts::LiveTexts;

pub const TEXTS: LiveTexts = LiveTexts {
    expiries: "今後30日間の有効期限",
    expiries_none: "今後30日間に期限が切れるトークンはありません。",
    expiries_words: |count, first| {
        format!("今後30日間に{count}件のトークンの期限が切れます。最初は{first}です。")
    },
    at_least: |count| format!("最初の{count}件のみ表示しています。"),
    next: "次の有効期限",
    activity: "過去1時間の利用状況",
    activity_words: |verified, rejected, issued| {
        format!(
            "検証{}件：有効{verified}件、拒否{rejected}件。発行{issued}件。",
            verified + rejected
        )
    },
    verified: "1分ごとの検証数",
    issued: "1分ごとの発行数",
    here_only: "このサーバーで起動後に記録した数です。検証サーバーは自身でトークンを検証します。",
};
