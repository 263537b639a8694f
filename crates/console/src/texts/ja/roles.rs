//! Roles, in Japanese.

use crate::{html, html::Html, texts::RolesTexts};
use tegata_policy::{
    acts::PersonState,
    permission::{ChannelRole, OperatorRole, ProviderRole},
};

pub const TEXTS: RolesTexts = RolesTexts {
    title: "権限設定",
    people: "ユーザー",
    no_people: "権限を持つユーザーはいません。",
    role: "権限",
    no_role: "権限なし",
    you: "あなた",
    state: |state| match state {
        PersonState::Invited => "招待中",
        PersonState::Active => "有効",
        PersonState::Disabled => "無効",
    },
    invited_until: "招待の有効期限：",
    change: "権限を変更する",
    change_short: "変更",
    change_question: |name, role| html!("{}の権限を{}に変更しますか", name, Html::text(role)),
    take: "権限を取り消す",
    take_question: |name| html!("{}の権限を取り消しますか", name),
    take_why: "ほかの権限とログインには影響しません。",
    own: "あなた自身の権限です",
    own_why: "自分で元に戻せなくなる場合があります。",
    leave: "権限を手放す",
    leave_question: |channel| html!("{}での権限を手放しますか", channel),
    add: "権限を付与",
    person: "ユーザーID",
    person_hint: "10桁の数字。本人が「アカウント」で確認できます。",
    person_wrong: "このIDのユーザーは存在しません。",
    give: "権限を付与する",
    invite: "ユーザーを招待",
    invite_under: "一度だけ使えるリンクを作成します。第三者に見られない方法で渡してください。受け取った人が\
                   パスワードと2段階認証を設定します。",
    invite_button: "ユーザーを招待する",
    login_hint: "a-z 0-9 . _ @ + - を使い、英字または数字で始まる1〜64文字。10桁の数字だけの名前は使えません。",
    login_wrong: "a-z 0-9 . _ @ + - を使い、英字または数字で始まる1〜64文字を入力してください。10桁の数字\
                  だけのログイン名は使えません。",
    login_taken: "このログイン名のユーザーは既に存在します。ユーザーIDを使って権限を付与してください。",
    name_hint: "ほかのユーザーと監査ログに表示されます。空欄の場合はログイン名が使われます。",
    once: "新しい招待",
    once_lead: "今すぐリンクをコピーして、第三者に見られない方法で渡してください。再表示はできません。",
    what: "各権限でできること",
    operator_hint: |role| match role {
        OperatorRole::Administrator => "すべての操作。",
        OperatorRole::OnCall => {
            "すべての閲覧と、取り消し、停止、キーやグループの削除、権限の取り消し、ユーザーの無効化。作成と、\
             シークレットの閲覧はできません。"
        }
        OperatorRole::Auditor => "すべての閲覧。",
    },
    provider_hint: |role| match role {
        ProviderRole::Admin => {
            "プロバイダーの名前の変更と削除、チャネルの作成、権限の管理。チャネルの設定にはアクセスできません。"
        }
        ProviderRole::Member => "プロバイダーの名前とIDの閲覧。",
    },
    channel_hint: |role| match role {
        ChannelRole::Admin => "シークレットとキーを含む、チャネルのすべての操作。",
        ChannelRole::Member => "チャネルの設定とグループの閲覧。",
        ChannelRole::Tester => "チャネルの閲覧。",
    },
    disable: "ユーザーを無効にする",
    disable_question: |name| html!("{}を無効にしますか", name),
    disable_why: "再び有効にするまで、すべてのセッションと個人用トークンが使えなくなります。",
    enable: "ユーザーを有効にする",
    reset: "ログイン情報をリセットする",
    reset_question: |name| html!("{}のログイン情報をリセットしますか", name),
    reset_why: "パスワード、2段階認証、すべてのセッションが無効になります。新しく設定するための、一度だけ\
                使えるリンクが表示されます。権限と個人用トークンは残ります。紛失した端末にトークンがあった場合は、\
                このユーザーのページで削除してください。",
    reset_own_why: "あなたのパスワード、2段階認証、現在のものを含むすべてのセッションが無効になります。次の\
                    ページに、新しく設定するための、一度だけ使えるリンクが表示されます。設定するまでログイン\
                    できません。",
    delete: "ユーザーを削除する",
    delete_question: |name| html!("{}を削除しますか", name),
    delete_why: "セッション、個人用トークン、すべての権限も削除されます。元に戻すことはできません。",
    keep: "変更しない",
    account: "ログイン情報",
    in_places: "プロバイダーとチャネルでの権限",
};
