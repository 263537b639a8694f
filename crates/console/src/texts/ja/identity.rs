//! Signing in by an identity provider, in Japanese.

use crate::{html, texts::IdentityTexts};

pub const TEXTS: IdentityTexts = IdentityTexts {
    or: "または",
    sign_in: "シングルサインオンでログインする",
    continue_title: "IDプロバイダーに移動します",
    continue_link: "続ける",
    code_title: "二要素認証",
    code_lead: |account| html!("IDプロバイダーで{}として認証されました。", account),
    another_way: "別の方法でログインする",
    not_begun: "このシングルサインオンは、このブラウザーで開始されていないか、すでに使用されたか、\
                時間がかかりすぎました。最初からやり直してください。",
    declined: "IDプロバイダーで認証されませんでした。もう一度お試しいただくか、パスワードで\
               ログインしてください。",
    unavailable: "現在、IDプロバイダーを利用できません。パスワードでログインしてください。原因は\
                  サーバーのログで確認できます（管理者向け）。",
    invalid: "IDプロバイダーの応答が正しくないため、ログインできませんでした。パスワードで\
              ログインしてください。原因はサーバーのログで確認できます（管理者向け）。",
    unlinked: "IDプロバイダーのアカウントは、ログインできるユーザーに連携されていません。\
               パスワードでログインし、自分の名前のページで連携してください。",
    taken: "このアカウントがほかのユーザーに連携されているか、あなたにほかのアカウントが連携されて\
            います。先にその連携を解除してください。",
    title: "シングルサインオン",
    under: "パスワードの代わりに、IDプロバイダーのアカウントでログインできます。IDプロバイダーを\
            利用できないときのために、パスワードは引き続き使えます。",
    provider: "IDプロバイダー",
    account: "アカウント",
    linked_at: "連携日時",
    link: "アカウントを連携する",
    link_question: |issuer| html!("{}のアカウントを連携しますか", issuer),
    link_lead: "IDプロバイダーのページでログインしてから、この画面に戻ります。",
    link_keep: "連携しない",
    confirm_question: |account| html!("今後、{}としてログインしますか", account),
    confirm_lead: |subject, issuer| {
        html!(
            "{}のアカウント{}の持ち主が、あなたとしてログインできるようになります。",
            issuer,
            subject
        )
    },
    unlink: "連携を解除する",
    unlink_question: |issuer| html!("{}のアカウントの連携を解除しますか", issuer),
    unlink_others: |name| html!("{}のIDプロバイダーのアカウントの連携を解除しますか", name),
    unlink_why: "IDプロバイダーのアカウントではログインできなくなり、そのアカウントで始まった可能性の\
                 あるセッションは終了します。パスワードは引き続き使えます。",
    unlink_keep: "解除しない",
};
