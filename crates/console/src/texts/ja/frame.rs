//! Frame, in Japanese.

use crate::{html, named::Theme, texts::FrameTexts};
use tegata_policy::permission::OperatorRole;

pub const TEXTS: FrameTexts = FrameTexts {
    skip: "本文へ移動",
    menu: "メニュー",
    main: "メイン",
    overview: "概要",
    leak_desk: "漏洩対応",
    verifiers: "検証サーバー",
    signing_keys: "署名鍵",
    audit: "監査ログ",
    people: "ユーザー",
    account: "アカウント",
    role: |role| match role {
        OperatorRole::Administrator => "管理者",
        OperatorRole::OnCall => "当番",
        OperatorRole::Auditor => "監査担当",
    },
    comma: "、",
    sign_out: "ログアウト",
    you_are_here: "現在の場所",
    dev: "開発モードです。試用とテスト以外には使わないでください。",
    ahead: |length| format!("時計は{length}進んでいます。"),
    server: |version, host| html!("Tegata {}（{}）。", html::Html::text(version), host),
    zone: "時刻は日本時間（JST）です。",
    updated: |at| html!("最終更新：{}。", at),
    refresh: "再読み込み",
    theme: "テーマ",
    theme_name: |theme| match theme {
        Theme::System => "システム",
        Theme::Light => "ライト",
        Theme::Dark => "ダーク",
    },
    language: "言語",
};
