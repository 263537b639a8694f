//! Invitation, in Japanese.

use crate::{html, texts::InvitationTexts};

pub const TEXTS: InvitationTexts = InvitationTexts {
    title: "招待を受ける",
    lead: "招待を使って、パスワードと2段階認証を設定します。招待は一度だけ使えます。",
    invitation: "招待",
    invitation_hint: "受け取ったリンク、またはその中のtgi_で始まる部分を入力してください。",
    unknown: "この招待は使えません。使用済みか、期限切れか、一部しかコピーされていません。新しい招待を\
              依頼してください。",
    open: "次へ",
    accept: "招待を受ける",
    expires: |at| html!("招待は一度だけ使えます。有効期限は{}です。", at),
    name: "対象：",
    password: "パスワード",
    password_hint: "12文字以上。関連のない単語をいくつか並べると安全です。パスワードマネージャーから\
                    貼り付けることもできます。",
    password_wrong: "5種類以上の文字を使い、12〜200文字で入力してください。自分の名前とほとんど同じ\
                     ものは使えません。",
    second_factor: "2段階認証",
    second_factor_hint: "認証アプリでQRコードを読み取るか、キーを入力してください。そのあと、表示された\
                         6桁のコードを入力してください。",
    qr: "下のキーのQRコード（認証アプリ用）",
    secret: "キー：",
    code_hint: "認証アプリに現在表示されている6桁のコード。",
    code_wrong: "このキーの現在のコードではありません。端末の時計を確認し、現在表示されているコードを入力\
                 してください。",
    strength_label: "パスワードの強さ",
    strength: |strength| match strength {
        0 => "とても弱い",
        1 => "弱い",
        2 => "普通",
        3 => "強い",
        _ => "とても強い",
    },
    codes: "リカバリーコード",
    codes_lead: "今すぐコードを保存してください。認証アプリがなくても、1つのコードで一度だけログインでき\
                 ます。再表示はできません。",
    then: "保存したら、認証アプリに次のコードが表示されてからログインしてください。",
};
