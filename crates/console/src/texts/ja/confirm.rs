//! Confirm, in Japanese.

use crate::texts::ConfirmTexts;

pub const TEXTS: ConfirmTexts = ConfirmTexts {
    confirmation: "確認",
    nothing_yet: "まだ何も変更されていません。",
    reason: "理由",
    reason_hint: "監査ログに記録され、トークンを照会したときに表示されます。500文字まで。",
    reason_hint_short: "監査ログに記録されます。500文字まで。",
    reason_wrong: "500文字以内で入力してください。端末や文字の方向を制御する文字は使えません。",
    wait: "検証サーバーの応答を待つ時間",
    wait_option: |seconds| match seconds {
        0 => "待たない".to_owned(),
        _ => format!("最長{seconds}秒"),
    },
    again_hint: "認証アプリの6桁のコード、またはリカバリーコード。ログインから10分以上経過している\
                 ため、入力が必要です。",
    again_missing: "ログインから10分以上経過しています。続行するにはコードを入力してください。",
    again_wrong: "コードが正しくないか、使用済みです。次のコードが表示されるまでお待ちください。",
    aside: "コマンドラインとほかの方法",
    alternatives: "ほかの方法",
    tokens: "取り消すトークン",
    tokens_to_suspend: "チャネルを再開するまで使えなくなるトークン",
    no_tokens: "有効なトークンは保存されていません。",
    token_id: "トークンID",
    channel: "チャネル",
    kind: "種類",
    group: "グループ",
    issued: "発行日時",
    expires: "有効期限",
    more: |count| format!("ほかに{count}件のトークンがあります（表示していません）。"),
    stateless_too: "ステートレスなトークンも取り消されます。保存されていないため、件数は分かりません。\
                    有効なのは最長15分です。",
    stateless_suspended: "ステートレスなトークンも使えなくなります。保存されていないため、件数は分かり\
                          ません。有効なのは最長15分です。",
    in_use: |count| format!("{count}件のトークンが使用中です"),
    in_use_why: "1時間以内に使われました。この操作の後、これらのトークンによるリクエストはすぐに拒否\
                 されます。",
};
