//! Notice, in Japanese.

use crate::texts::NoticeTexts;

pub const TEXTS: NoticeTexts = NoticeTexts {
    saved: "保存しました。",
    created: "作成しました。",
    deleted: |count| match count {
        0 => "削除しました。有効なトークンはありませんでした。".to_owned(),
        _ => format!("削除しました。トークン{count}件を取り消しました。"),
    },
    revoked: |count| format!("トークン{count}件を取り消しました。"),
};
