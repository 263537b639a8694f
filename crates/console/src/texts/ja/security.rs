//! Security, in Japanese.

use crate::texts::SecurityTexts;

pub const TEXTS: SecurityTexts = SecurityTexts {
    rules_title: "ルール",
    rules: "トークンのルール",
    current: "種類ごとに上限があり、長期のトークンはチャネルに1つです。",
    legacy: "2020年5月までのLINEのルール：短期と長期のトークンを合わせて30件までです。",
    group_cap: "1つのグループで有効にできる、同じ種類のトークンの数",
    when_full: "グループが上限に達したとき",
    evict: "新しいトークンが最も古いトークンを失効させる",
    deny: "新しいトークンの発行を拒否する",
    assertions: "アサーション",
    own_audience_only: "このサーバー宛てのアサーションだけを受け付ける",
    own_audience_hint: "audienceは、このサーバーのアドレスでなければなりません。選択しない場合は、LINEの\
                        アドレスも受け付けます。",
    single_use: "アサーションを一度だけ受け付ける",
    on_leak: "漏えいしたトークンをスキャナーが報告したとき",
    leak_revoke: "トークンを失効させる",
    leak_flag: "トークンを有効のままにし、警告だけを送る",
    leak_hint: "いずれの場合も監査に記録し、グループの連絡先を付けた警告をWebhookに送ります。",
    limits_title: "制限",
    limits_under: "空欄の場合は、サーバーの制限が適用されます。",
    limits: [
        "短期のトークンの発行（1秒あたり）",
        "その他の各操作のリクエスト（1秒あたり）",
        "検証（1秒あたり）",
        "発行の休止が始まるまでに、期間内に発行できる同じ種類のトークンの数（0：制限なし）",
        "期間の長さ（秒）",
        "休止の長さ（秒）",
    ],
    limit_wrong: |least, most| format!("{least}〜{most}の整数を入力してください。"),
    servers: "サーバーの設定",
    yes: "はい",
    no: "いいえ",
    save: "セキュリティ設定を保存する",
};
