//! Sign in, in Japanese.

use crate::texts::SignInTexts;

pub const TEXTS: SignInTexts = SignInTexts {
    title: "Tegataにログイン",
    login: "ログイン名",
    password: "パスワード",
    code: "認証コード",
    code_hint: "認証アプリの6桁のコード、またはリカバリーコード。",
    sign_in: "ログインする",
    wrong: "ログイン名、パスワード、認証コードのいずれかが正しくありません。コードは一度しか\
            使えません。次のコードが表示されるまでお待ちください。",
    too_many: |length| format!("試行回数が多すぎます。{length}後にもう一度お試しください。"),
    busy: "現在、ログインが集中しています。もう一度お試しください。",
    invited: "招待されましたか。",
    invited_link: "招待を受ける",
    locked_out: "ログインできない場合：ログインできる管理者がいないときは、サーバー上で次のコマンドを\
                 実行してください。STOREはサーバーの--storeの値です。サーバーの稼働中は、管理者のトークン\
                 も必要です（--admin-token-file FILE）。",
    invite: "新しい管理者NAMEのためのリンクを作成します",
    signed_out: "ログアウトしました。",
};
