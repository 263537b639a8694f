//! Common, in Japanese.

use crate::texts::CommonTexts;

pub const TEXTS: CommonTexts = CommonTexts {
    command_line: "コマンドライン",
    name: "名前",
    name_hint: "1〜100文字。ほかと同じ名前でもかまいません。",
    created: "作成日",
    last_used: "最終使用",
    never: "なし",
    none: "なし",
    search: "検索する",
    older: "以前のもの",
    newest: "最新のもの",
    action: "操作",
    active: "有効",
    suspended: "停止中",
    deleted: "削除済み",
    copy: "コピーする",
    copied: "コピーしました",
    hide: "非表示にする",
    save: "保存する",
    delete: "削除する…",
    expires: "有効期限",
    provider: "プロバイダー",
    channel: "チャネル",
    kind: "種類",
    state: "状態",
    name_wrong: "1〜100文字の名前を入力してください。空白だけの名前や、文字の方向を制御する文字は使えません。",
    keep: "変更しない",
};
