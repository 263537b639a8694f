//! Notice, in Japanese.

use crate::{
    created::Created,
    html,
    html::{Code, Html},
    texts::NoticeTexts,
};

pub const TEXTS: NoticeTexts = NoticeTexts {
    saved: "保存しました。",
    created: |what, id, delay| match what {
        Created::Provider(_) => html!("プロバイダー{}を作成しました。", id),
        Created::Channel(_) => html!("チャネル{}を作成しました。", id),
        Created::Key(_) => html!(
            "公開鍵をキーID {}で登録しました。アサーションごとに、ヘッダーの{}に設定してください。{}では{}で指定\
             します。",
            id,
            Code("kid"),
            Code("tegata token issue"),
            Code("--key-id")
        ),
        Created::Token(_, 0) => html!("長期のトークン{}を発行しました。", id),
        Created::Token(..) => {
            let delay = Html::text(delay);
            html!(
                "長期のトークン{}を発行しました。再発行前のトークンの有効期間は残り{}です。",
                id,
                delay
            )
        }
        Created::Invitation(_) => html!("ユーザー{}の招待を作成しました。", id),
        Created::PersonalToken(_) => html!("個人のトークン{}を作成しました。", id),
        Created::Verifier(_) => html!("検証サーバー{}を作成しました。", id),
        Created::SigningKey(_) => html!("署名鍵{}を作成しました。待機中です。", id),
    },
    deleted: |count| match count {
        0 => "削除しました。有効なトークンはありませんでした。".to_owned(),
        _ => format!("削除しました。トークン{count}件を取り消しました。"),
    },
    revoked: |count| format!("トークン{count}件を取り消しました。"),
};
