//! Overview, in Japanese.

use crate::{
    html,
    html::{Bdi, Html},
    texts::OverviewTexts,
};
use tegata_token::kind::Kind;

pub const TEXTS: OverviewTexts = OverviewTexts {
    title: "概要",
    alerts_lead: |count, more| match (count, more) {
        (0, _) => "警告はありません。".to_owned(),
        (_, false) => format!("警告が{count}件あります（緊急度の高い順）。"),
        (_, true) => format!("警告が{count}件以上あります（表示中の警告は緊急度の高い順）。"),
    },
    searched: |when| format!("全チャネルの確認：{when}"),
    leaked: "漏洩したトークンを取り消す",
    create_provider: "プロバイダーを作成する",
    warnings: "警告",
    view: "表示する",
    providers: "プロバイダー",
    search: "プロバイダーとチャネルを名前またはIDで検索",
    name_or_id: "名前またはID",
    nothing_found: "見つかりませんでした。",
    no_providers: "プロバイダーはまだありません",
    first_steps: "プロバイダーは、チャネルを所有する組織です。プロバイダーを作成し、その中にチャネルを作成\
                  してください。",
    revoking: |left| format!("トークンを取り消し中：残り{left}チャネル"),
    token_expires: |kind, group, channel| {
        html!("{}の{}トークンに後継がありません", holder(group, channel), kind_name(kind))
    },
    token_expires_why: |at, used| {
        html!("有効期限は{}。最終使用：{}。新しいトークンを発行して設定してください。", at, used)
    },
    token_unused: |kind, group, channel| {
        html!("{}の{}トークンは一度も使われていません", holder(group, channel), kind_name(kind))
    },
    unused_why: |at| html!("発行は{}。設定するか、不要なら取り消してください。", at),
    token_replaced: |kind, group, channel| {
        html!("{}は古い{}トークンを使い続けています", holder(group, channel), kind_name(kind))
    },
    token_replaced_why: |at, used| {
        html!(
            "古いトークンの有効期限は{}。最終使用：{}。新しいトークンを設定してください。",
            at,
            used
        )
    },
    secret_expires: |channel| {
        html!("{}の再発行前のシークレットの有効期限が近づいています", channel)
    },
    secret_expires_why: |at| {
        html!("有効期限は{}。すべてのクライアントを現在のシークレットに切り替えてください。", at)
    },
    key_unused: |channel| html!("{}のアサーション署名キーは一度も使われていません", channel),
    key_unused_why: |at| html!("登録は{}。不要なら削除してください。", at),
    nearly_full: |kind, channel| {
        html!("{}の{}トークンの数がまもなく上限に達します", channel, kind_name(kind))
    },
    nearly_full_why: |active, cap| {
        format!("{cap}件のうち{active}件が有効です。使われていないトークンを取り消してください。")
    },
    signing_key_overdue: "署名キーの交換時期を過ぎています",
    signing_key_overdue_why: |at| {
        html!("交換の期限は{}でした。交換してもトークンは失効しません。", at)
    },
    certificate_expires: "TLS証明書の有効期限が近づいています",
    certificate_expires_why: |at| {
        html!(
            "有効期限は{}。ファイルの証明書を更新してください。サーバーは自動で読み込みます。",
            at
        )
    },
    backup_old: "最新のバックアップが古くなっています",
    backup_old_why: |at| {
        html!("作成は{}。バックアップを作成し、その後作成されなかった理由を確認してください。", at)
    },
    went_backwards: "ストアが古いコピーである可能性があります",
    went_backwards_why: |at| {
        html!(
            "ベリファイアがストアより新しい状態を把握していました（最終確認は{}）。取り消したトークンが\
             再び有効になっている可能性があります。ストアが置き換えられていないか確認してください。",
            at
        )
    },
    contact: |contact| html!("連絡先：{}。", contact),
};

fn kind_name(kind: Kind) -> Html {
    Html::from(kind.name())
}

fn holder(group: Option<Bdi<'_>>, channel: Bdi<'_>) -> Html {
    match group {
        Some(group) => html!("{}（{}）", group, channel),
        None => html!("{}", channel),
    }
}
