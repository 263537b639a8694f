//! Account, in Japanese.

use crate::{html, texts::AccountTexts};
use tegata_policy::permission::{ChannelRole, ProviderRole, Rights};

pub const TEXTS: AccountTexts = AccountTexts {
    you: "ユーザー情報",
    id: "ユーザーID",
    sessions: "セッション",
    session: "ログイン日時",
    present: "現在のセッション",
    end_others: "ほかのセッションをすべて終了する",
    password: "パスワード",
    password_under: "パスワードを変更すると、ほかのセッションはすべて終了します。",
    old_password: "現在のパスワード",
    old_wrong: "現在のパスワードが正しくありません。",
    new_password: "新しいパスワード",
    change_password: "パスワードを変更する",
    tokens: "個人用トークン",
    tokens_under: "プログラムやコマンドラインで使います。有効期限まで、あなたの権限の範囲内で、トークンの\
                   権限に応じた操作ができます。",
    rights: "権限",
    rights_name: |rights| match rights {
        Rights::Read => "読み取り",
        Rights::Revoke => "読み取りと取り消し",
        Rights::Full => "すべて",
    },
    valid_for: "有効期間",
    new_token: "新しいトークン",
    create_token: "トークンを作成する",
    once: "新しい個人用トークン",
    once_lead: "今すぐトークンをコピーして、プログラムが読み込む場所に保存してください。再表示はできません。",
    delete_token: |name| html!("個人用トークン{}を削除しますか", name),
    delete_token_name: "トークンの削除",
    delete_token_button: "トークンを削除する",
    delete_token_keep: "削除しない",
    provider_role: |role| match role {
        ProviderRole::Admin => "Admin",
        ProviderRole::Member => "Member",
    },
    channel_role: |role| match role {
        ChannelRole::Admin => "Admin",
        ChannelRole::Member => "Member",
        ChannelRole::Tester => "Tester",
    },
};
