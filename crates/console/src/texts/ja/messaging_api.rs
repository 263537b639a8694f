//! Messaging api, in Japanese.

use crate::{html, texts::MessagingApiTexts};

pub const TEXTS: MessagingApiTexts = MessagingApiTexts {
    title: "チャネルアクセストークン（長期）",
    no_token: "長期のチャネルアクセストークンはありません。",
    current: "現在のトークン",
    previous: "再発行前のトークン",
    revoke: "取り消す",
    previous_in_use: |at| {
        html!(
            "<strong>再発行前のトークンがまだ使われています。</strong>有効期限は{}です。それまでに、\
             使用中のクライアントを新しいトークンに切り替えてください。この有効期限は延長できません。\
             もう一度再発行すると、すぐに取り消されます。",
            at
        )
    },
    issue: "発行",
    issue_under: "長期のチャネルアクセストークンを発行し、一度だけ表示します。",
    issue_button: "トークンを発行する",
    reissue: "再発行",
    reissue_under: "新しいトークンを発行し、一度だけ表示します。現在のトークンは、選択した時間が経過するまで\
                    有効です。その間にクライアントを切り替えてください。",
    reissue_button: "トークンを再発行する",
    replace_question: |channel, count| match count {
        0 => html!("{}の長期のトークンを発行しますか", channel),
        _ => html!(
            "{}の長期のトークンを再発行し、現在のトークン{}件をすぐに取り消しますか",
            channel,
            count
        ),
    },
    replace_lead: "現在のトークンを使用しているクライアントは、新しいトークンに切り替えるまで失敗します。新しい\
                   トークンは次のページで一度だけ表示されます。",
    replace_previous_question: |channel, count| {
        html!(
            "{}の長期のトークンを再発行し、再発行前のトークン{}件をすぐに取り消しますか",
            channel,
            count
        )
    },
    replace_previous_lead: |length| {
        format!(
            "再発行前のトークンを使用しているクライアントは、すぐに失敗するようになります。現在のトークンは{length}\
             有効です。新しいトークンは次のページで一度だけ表示されます。"
        )
    },
    replace_keep: "トークンを維持する",
    delay: "現在のトークンを有効にしておく時間",
    delay_none: "0時間（すぐに失効）",
    other: "その他",
    hours: "時間",
    hours_wrong: "0〜24の時間数を入力してください。",
    once: "新しいチャネルアクセストークン（長期）",
    once_lead: "今すぐトークンをコピーして、ボットが読み込む場所に保存してください。Tegataはトークンを保存\
                しないため、再表示できません。",
    about: "長期のトークンについて",
    about_text: "長期のチャネルアクセストークンは、チャネルごとに1つだけです。有効期限がないため、漏洩した場合\
                 は、取り消すまで不正に使われるおそれがあります。チャネルアクセストークンv2.1には有効期限が\
                 あり、グループごとに更新できます。",
};
