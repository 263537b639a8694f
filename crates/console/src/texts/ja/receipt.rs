//! Receipt, in Japanese.

use crate::{html, named::InstanceStanding as S, texts::ReceiptTexts};

pub const TEXTS: ReceiptTexts = ReceiptTexts {
    title: "受領証",
    lead: |position| html!("変更{}をどの検証サーバーが適用したかを示します。", position),
    what: "変更の内容",
    in_audit: "監査ログで表示する",
    complete: "完了しました。取り消されたものを受け入れる検証サーバーはありません。",
    pending: "実行しました。まだすべての検証サーバーが確認していません。",
    complete_stamp: "完了",
    pending_stamp: "未完了",
    so_far: |safe, all| format!("{all}件のインスタンスのうち{safe}件は、もう受け入れません。"),
    no_verifiers: "自身のコピーを持つ検証サーバーは登録されていないため、適用を待つ必要はありません。",
    effective: "発効日時",
    position: "位置",
    in_log: "変更ログ内",
    instances: "検証サーバーのインスタンスとその状態",
    verifier: "検証サーバー",
    instance: "インスタンス",
    acknowledged: "確認日時",
    details: "詳細",
    state: |it| match it {
        S::Acknowledged => "確認済み",
        S::Waiting => "応答待ち",
        S::LeaseExpired => "リース期限切れ",
        S::MayStillAccept => "受け入れの可能性あり",
        S::CannotApply => "適用不可",
        S::Stopped => "停止済み",
        S::Removed => "取り除き済み",
    },
    no: "なし",
    not_yet: "未確認",
    lease_expired: "長時間応答がないため、すべてのトークンを拒否しています。",
    waiting: "変更後にまだ応答していません。",
    may_still_accept_short: "受け入れの可能性あり",
    may_still_accept: "古いデータでトークンを受け入れます。このインスタンスを停止するか、通信を遮断してください。",
    again: "もう一度表示する",
    follows: "JavaScriptが有効な場合、このページは自動的に更新されます。",
    download: "署名付き受領証をダウンロードする",
    download_hint: "使用中の署名鍵で署名されたJWTです。公開鍵は/.well-known/jwks.jsonにあります。",
    another: "別のトークンを調べる",
    audit: "監査ログを表示する",
    since: |at| {
        html!(
            "このサーバーと、このサーバーに問い合わせるすべてのプロキシは、{}から変更を適用しています。",
            at
        )
    },
    signature_only: "署名だけを確認するクライアント（JWKS）は取り消しを受け取りません。失効したトークンを\
                     有効期限まで受け入れます。",
};
