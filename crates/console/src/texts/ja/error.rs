//! Error, in Japanese.

use crate::{html, texts::ErrorTexts};

pub const TEXTS: ErrorTexts = ErrorTexts {
    in_title: "エラー：",
    mistakes: "入力内容を確認してください",
    not_found: "ページが見つかりません",
    not_found_why: "ページが存在しないか、アクセスする権限がありません。",
    forbidden: "権限が必要です",
    forbidden_why: "あなたの権限では、表示はできますが変更はできません。権限は、チャネルまたは\
                    プロバイダーのAdmin、あるいは管理者が変更できます。",
    foreign: "別のサイトからのリクエスト",
    foreign_why: "このリクエストがこのコンソールのページから送信されたことを、ブラウザが確認\
                  できませんでした。何も変更されていません。ページを開き直して、もう一度送信\
                  してください。",
    bad_request: "リクエストを処理できません",
    bad_request_why: "何も変更されていません。ページを開き直して、フォームを送信してください。",
    conflict: "現在は実行できません",
    conflict_why: "何も変更されていません。",
    too_many: "試行回数が多すぎます",
    too_many_why: |length| format!("何も変更されていません。{length}後にもう一度お試しください。"),
    not_now: "しばらくしてからもう一度お試しください",
    not_now_why: "サーバーがリクエストを受け付けられませんでした。何も変更されていません。",
    unavailable: "結果を確認できません",
    unavailable_why: "ストアが応答しなかったため、リクエストの結果を確認できません。",
    unavailable_strong: "変更が保存されたかどうかは不明です。",
    unavailable_next: "もう一度送信する前に、現在の状態を確認してください。",
    sent_before_why: "同じフォームがすでに送信されていますが、実行されたかどうかを確認できません。",
    again: "リクエストを再送信する",
    again_why: "再送信しても、適用されるのは一度だけです。",
    admins: |names| html!("ここのAdmin：{}。", names),
    on_the_server: "サーバー上で",
    internal: "内部エラー",
    internal_why: "これは不具合です。変更が保存されたかどうかは不明です。詳細はサーバーのログを\
                   確認してください。",
    back: "ページに戻る",
    overview: "概要を表示する",
    request: |id| html!("リクエストID：{}。サーバーのログにも同じIDで記録されています。", id),
};
