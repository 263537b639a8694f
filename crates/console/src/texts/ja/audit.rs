//! Audit, in Japanese.

use crate::texts::AuditTexts;

pub const TEXTS: AuditTexts = AuditTexts {
    title: "監査ログ",
    lead: "管理操作の記録です（新しい順）。クライアントが発行したトークンは記録されません。チャネルのトークン\
           一覧を確認してください。",
    verify: "ログを検証する",
    verify_why: "署名されたチェックポイントにより、記録が後から変更、削除、追加されていないかを確認できます。",
    verified: "記録は変更されていません",
    broken: "ログがチェックポイントと一致しません",
    stamp: "検証済み",
    counts: |events, checkpoints, pending| {
        format!(
            "{events}件の記録、{checkpoints}件のチェックポイント。{pending}件はまだチェックポイントに\
             含まれていません。"
        )
    },
    public_key: "公開鍵をTegataの外に保存してください：",
    events: "記録",
    any: "すべて",
    filter: "絞り込む",
    time: "日時",
    actor: "実行者",
    target: "対象",
    details: "詳細",
    number: "番号",
    kept: "記録はサーバーの設定期間、チェックポイントは無期限に保存されます。",
};
