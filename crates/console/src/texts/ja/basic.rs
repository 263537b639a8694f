//! Basic, in Japanese.

use crate::{html, texts::BasicTexts};

pub const TEXTS: BasicTexts = BasicTexts {
    channel_id: "チャネルID",
    secret: "チャネルシークレット",
    secret_under: "Tegataはシークレットのハッシュだけを保存します。再表示はできません。",
    secrets: "使用できるシークレット",
    current: "現在",
    previous: "再発行前",
    once: "新しいチャネルシークレット",
    once_lead: "今すぐシークレットをコピーして、プログラムが読み込む場所に保存してください。再表示はできません。",
    keep: "現在のシークレットを有効にしておく時間",
    keep_none: "0時間（すぐに使えなくする）",
    revoke: "トークンの取り消し",
    revoke_none: "取り消さない",
    revoke_by_secret: "このチャネルのシークレットで発行されたトークン",
    revoke_all: "すべて",
    revoke_all_hint: "シークレットが漏洩した場合は、トークンの発行に使われたおそれがあるため、これを選んで\
                      ください。",
    previous_in_use: "再発行前のシークレットがまだ使われています。使用できるシークレットは2つまでのため、今\
                      再発行すると、すぐに使えなくなります。",
    previous_there: "使用できるシークレットは2つまでのため、今再発行すると、再発行前のシークレットはすぐに\
                     使えなくなります。",
    rotate: "シークレットを再発行する",
    rotate_question: |channel, count| match count {
        0 => html!("{}のシークレットを再発行しますか", channel),
        _ => html!("{}のシークレットを再発行し、トークン{}件を取り消しますか", channel, count),
    },
    rotate_lead: |length| {
        format!("まだ何も変更されていません。現在のシークレットは{length}有効です。")
    },
    rotate_lead_now: "まだ何も変更されていません。現在のシークレットはすぐに使えなくなります。",
    rotate_keep: "再発行しない",
    previous_question: |channel| html!("{}の再発行前のシークレットを削除しますか", channel),
    previous_lead: "まだ何も削除されていません。削除すると元に戻せません。",
    previous_button: "再発行前のシークレットを削除する",
    previous_keep: "削除しない",
    in_use: "再発行前のシークレットが使用中です",
    in_use_why: "1時間以内に使われました。削除すると、このシークレットによるリクエストはすぐに拒否されます。",
    keys: "アサーション署名キー",
    keys_under: "チャネルシークレットを使わずに、v2.1とステートレスのトークンを発行するための公開鍵です。\
                 チャネルに2つ、各グループに2つまで登録できます。",
    no_keys: "登録されているキーはありません。",
    kid: "キーID（kid）",
    scope: "範囲",
    registered: "登録日時",
    new_key: "新しい公開鍵",
    public_key: "公開鍵（JWKまたはPEM）",
    public_key_hint: "RSA、2048ビット。秘密鍵は受け付けず、保存もしません。",
    private_key: "これは秘密鍵です。公開鍵を入力してください。この秘密鍵は漏洩したものとして扱ってください。",
    keys_full: "グループのないキーは上限の2つまで登録されています。グループを入力するか、使わなくなったキーを\
                先に削除してください。",
    group_full: "この範囲のキーは上限の2つまで登録されています。使わなくなったキーを先に削除するか、別の\
                 グループを入力してください。",
    key_there: "この公開鍵はこのチャネルに登録済みです。そのまま使うか、別の公開鍵を入力してください。",
    group_hint: "空欄：チャネル全体のキーになります。",
    group_wrong: "a-z A-Z 0-9 . _ - を使って1〜64文字で入力してください（「.」「..」だけは使えません）。",
    register: "公開鍵を登録する",
    new_pair: "新しい鍵ペア",
    new_pair_why: "秘密鍵はブラウザで生成され、ダウンロードされます。サーバーには送信されません。\
                   JavaScriptが必要です。使えない場合は、コマンドラインを使ってください。",
    generate: "鍵ペアを生成してダウンロードする",
    generated: "秘密鍵をダウンロードし、公開鍵をフォームに入力しました。続けて登録してください。",
    not_generated: "このブラウザでは鍵を生成できません。コマンドラインを使ってください。",
    key_question: |kid, count| match count {
        0 => html!("アサーション署名キー{}を削除しますか", kid),
        _ => html!("アサーション署名キー{}を削除し、トークン{}件を取り消しますか", kid, count),
    },
    key_name: "キーの削除",
    key_lead: "まだ何も削除されていません。削除すると元に戻せません。",
    key_button: |count| match count {
        0 => "キーを削除する".to_owned(),
        _ => format!("キーを削除し、{count}件を取り消す"),
    },
    key_keep: "削除しない",
    key_alone: "キーだけを削除する（トークンは有効なまま）",
    key_with_tokens: "キーを削除し、このキーで発行されたトークンを取り消す",
    suspension: "停止と削除",
    suspend: "チャネルを停止する",
    suspend_why: "停止：再開するまで、すべてのトークンが使えなくなり、発行もできません。トークンは取り消され\
                  ません。",
    suspend_question: |channel, count| match count {
        0 => html!("{}を停止しますか", channel),
        _ => html!("{}（トークン{}件）を停止しますか", channel, count),
    },
    suspend_lead: "まだ何も変更されていません。あとで再開できます。",
    suspend_keep: "停止しない",
    resume: "チャネルを再開する",
    resume_why: "再開：有効期限が切れていないトークンが、再び使えるようになります。",
    delete: "チャネルを削除する",
    delete_why: "削除：有効なトークンをすべて取り消します。元に戻すことはできません。チャネルIDは再利用され\
                 ません。",
    delete_question: |channel, count| match count {
        0 => html!("{}を削除しますか", channel),
        _ => html!("{}を削除し、トークン{}件を取り消しますか", channel, count),
    },
    delete_lead: "まだ何も削除されていません。削除すると元に戻せません。",
    delete_keep: "削除しない",
    suspend_instead: "チャネルを停止する（あとで再開できます）",
};
