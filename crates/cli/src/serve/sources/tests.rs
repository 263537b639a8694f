//! Every setting is taken from each source, and errors name the source of a value.

use super::{super::file::check, *};
use crate::{command_line, duration::Seconds};
use std::process;

/// What `tegata serve` with these flags and this settings file resolves.
fn resolved(flags: &[String], file: &str) -> anyhow::Result<ArgMatches> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("it.toml");
    std::fs::write(&path, file).unwrap();
    let words = ["tegata", "serve", "--config", path.to_str().unwrap()];
    let words = words.into_iter().chain(flags.iter().map(String::as_str));
    let matches = command_line().try_get_matches_from(words)?;
    let (_, serve) = matches.subcommand().unwrap();
    Unresolved::<ServeSettings>::from_arg_matches(serve)?.combine()
}

fn settings(flags: &[&str], file: &str) -> anyhow::Result<ServeSettings> {
    let flags: Vec<_> = flags.iter().map(ToString::to_string).collect();
    Ok(ServeSettings::from_arg_matches(&resolved(&flags, file)?)?)
}

/// The arguments on the reference page, except `--config`.
fn listed() -> Vec<Arg> {
    let root = command_line();
    let serve = root.find_subcommand("serve").unwrap();
    serve.get_arguments().filter(|arg| arg.get_id() != "config").cloned().collect()
}

/// Two different valid values of the argument, not its default if possible.
fn examples(arg: &Arg) -> [String; 2] {
    let default = arg.get_default_values().first().map(|it| it.to_str().unwrap().to_owned());
    let all = ["7", "8", "901", "902", "true", "false", "text", "json", "debug", "warn"];
    let addresses = ["127.0.0.1:1", "127.0.0.1:2", "10.0.0.1", "10.0.0.2"];
    let urls = ["sqlite:a", "sqlite:b", "http://a.example/", "http://b.example/"];
    let words = ["tegata", "identity-provider", "https://a.example", "https://b.example"];
    let keys = ["github=a", "gitlab=b"];
    let all = all.iter().chain(&addresses).chain(&urls).chain(&words).chain(&keys);
    let all = all.map(ToString::to_string);
    let mut good = all.filter(|it| check(arg, std::slice::from_ref(it)).is_ok());
    // Of two possible values one is the default.
    let other = good.by_ref().find(|it| Some(it) != default.as_ref());
    [other.unwrap(), good.next().or(default).unwrap()]
}

/// The TOML forms of a value, that of the argument's type first.
fn as_toml(arg: &Arg, value: &str) -> Vec<String> {
    let takes = |text: &str| check(arg, &[text.to_owned()]).is_ok();
    let is_text = takes("a") || !["7", "901", "true"].into_iter().any(takes);
    let is_list = matches!(arg.get_action(), clap::ArgAction::Append);
    let write = |is_text, is_list| {
        let value = if is_text { format!("{value:?}") } else { value.to_owned() };
        if is_list { format!("[{value}]") } else { value }
    };
    let others = [(!is_text, is_list), (is_text, !is_list), (!is_text, !is_list)];
    // A duration is a string with a unit or a number of seconds.
    let is_duration = ["7s", "901s"].into_iter().any(takes);
    let others = others.into_iter().filter(|(_, list)| !is_duration || *list != is_list);
    let all = [(is_text, is_list)].into_iter().chain(others);
    all.map(|(is_text, is_list)| write(is_text, is_list)).collect()
}

/// The raw values of a setting, as one text.
fn raw(matches: &ArgMatches, arg: &Arg) -> String {
    let values = matches.get_raw(arg.get_id().as_str()).into_iter().flatten();
    values.map(|it| it.to_str().unwrap()).collect::<Vec<_>>().join(",")
}

/// Whether this process has values for all variables (`yes`) or for none (`no`).
const HAS_VARIABLES: &str = "TEGATA_TEST_HAS_VARIABLES";

const NAME: &str = concat!(
    "serve::sources::tests::",
    "every_setting_is_taken_from_flag_variable_file_and_default_in_this_order"
);

/// Variables belong to a process, so the test runs in two processes of its own.
fn run_again(has_variables: &str) {
    let mut again = process::Command::new(std::env::current_exe().unwrap());
    again.args([NAME, "--exact"]).env(HAS_VARIABLES, has_variables);
    for arg in listed() {
        let Some(variable) = arg.get_env() else { continue };
        match has_variables {
            "yes" => again.env(variable, &examples(&arg)[0]),
            _ => again.env_remove(variable),
        };
    }
    let done = again.output().unwrap();
    let output = String::from_utf8_lossy(&done.stdout);
    assert!(done.status.success() && output.contains("1 passed"), "{output}");
}

#[test]
fn every_setting_is_taken_from_flag_variable_file_and_default_in_this_order() {
    let Ok(Some(has_variables)) = tegata_system::variable::text(HAS_VARIABLES) else {
        return ["no", "yes"].into_iter().for_each(run_again);
    };
    assert!(listed().len() > 30);
    for arg in &listed() {
        let id = arg.get_id().as_str();
        let [first, second] = examples(arg);
        let flag = |value: &str| [format!("--{}={value}", id.replace('_', "-"))];
        let forms = as_toml(arg, &second).into_iter().map(|value| format!("{id} = {value}"));
        let forms: Vec<_> = forms.collect();
        for form in &forms[1..] {
            assert!(resolved(&[], form).is_err(), "accepted in another TOML type: {form}");
        }
        let of_file = resolved(&[], &forms[0]).unwrap();

        if has_variables == "yes"
            && let Some(variable) = arg.get_env()
        {
            assert_eq!(variable.to_str().unwrap(), format!("TEGATA_{}", id.to_uppercase()));
            assert_eq!(
                raw(&of_file, arg),
                first,
                "the variable takes precedence over the file: {id}"
            );
            let of_flag = resolved(&flag(&second), "").unwrap();
            assert_eq!(
                raw(&of_flag, arg),
                second,
                "the flag takes precedence over the variable: {id}"
            );
        } else {
            assert_eq!(
                raw(&of_file, arg),
                second,
                "the file takes precedence over the default: {id}"
            );
            let of_flag = resolved(&flag(&first), &forms[0]).unwrap();
            assert_eq!(raw(&of_flag, arg), first, "the flag takes precedence over the file: {id}");
            let default = arg.get_default_values().iter().map(|it| it.to_str().unwrap());
            let default: Vec<_> = default.collect();
            assert_eq!(raw(&resolved(&[], "").unwrap(), arg), default.join(","), "{id}");
        }
    }
}

#[test]
fn a_list_in_the_file_can_be_empty() {
    assert_eq!(settings(&[], "").unwrap().warn_before.len(), 3);
    assert!(settings(&[], "warn_before = []").unwrap().warn_before.is_empty());
    let given = settings(&["--warn-before=1,2h"], "warn_before = []").unwrap().warn_before;
    assert_eq!(given, [Seconds(1), Seconds(7_200)]);
}

#[test]
fn a_duration_has_a_unit_or_is_a_number_of_seconds_from_every_source() {
    for (flags, file) in [
        (&["--idle-timeout=15m", "--drain-delay=5s"][..], ""),
        (&["--idle-timeout=900", "--drain-delay=5000ms"], ""),
        (&[], "idle_timeout = \"15m\"\ndrain_delay = \"5s\""),
        (&[], "idle_timeout = 900\ndrain_delay = 5"),
    ] {
        let given = settings(flags, file).unwrap();
        assert_eq!((given.idle_timeout, given.drain_delay), (Seconds(900), Seconds(5)), "{file}");
    }
    let given = settings(&[], "warn_before = [\"168h\", 3600]").unwrap().warn_before;
    assert_eq!(given, [Seconds(604_800), Seconds(3_600)]);
}

#[test]
fn trusted_proxies_are_a_list() {
    let given = settings(&[], "trusted_proxy = [\"10.0.0.1\", \"fd00::/8\"]").unwrap();
    assert_eq!(given.trusted_proxy.len(), 2);
    assert!(settings(&[], "trusted_proxy = [\"10.0.0.1/40\"]").is_err());
}

fn error(file: &str) -> String {
    let error = settings(&[], file).err().unwrap();
    assert!(error.downcast_ref::<BadUsage>().is_some(), "{error}");
    error.to_string()
}

#[test]
fn an_unknown_key_is_named_with_the_nearest_known_one() {
    for (wrong, meant) in [
        ("listn", "listen"),
        ("admin-listen", "admin_listen"),
        ("admin_lisen", "admin_listen"),
        ("drain_dealy", "drain_delay"),
    ] {
        let error = error(&format!("dev = true\n{wrong} = \"127.0.0.1:9\""));
        assert!(error.contains("line 2") && error.contains(&format!("`{wrong}`")), "{error}");
        assert!(error.contains(&format!("did you mean `{meant}`")), "{error}");
    }
    // `config` names the file itself; `listen` is a table here.
    assert!(error("config = \"a.toml\"").contains("`config`"));
    assert!(error("[listen]").contains("expected a string, found a table"));
}

#[test]
fn an_error_of_the_file_has_the_line_and_the_key_and_the_reason() {
    for (line, reason) in [
        ("listen = \"localhost\"", "write it as an IP address and a port"),
        ("listen = 8080", "expected a string, found an integer"),
        ("max_connections = 0", "zero"),
        ("max_connections = \"7\"", "expected an integer, found a string"),
        ("max_connections = 99999999999999999999", "too large"),
        ("surge_limit = -1", "-1"),
        ("dev = \"true\"", "expected a boolean, found a string"),
        ("warn_before = 60", "expected an array, found an integer"),
        ("warn_before = [true]", "expected a string such as \"15m\" or a number of seconds"),
        ("idle_timeout = \"0s\"", "give 1s or more"),
        ("log_format = \"xml\"", "expected one of: text, json"),
        ("drain_delay = 61", "give 0s to 1m"),
        ("key_promotion_delay = 60", "give 15m or more"),
        ("public_url = \"ftp://a.example\"", "http or https"),
        ("store = \"mysql://x\"", "write it as sqlite:FILE"),
        ("tls_cert = \"\"", "must not be empty"),
        ("log = \"a=b=c\"", "error parsing level filter"),
    ] {
        let key = line.split(' ').next().unwrap();
        let error = error(&format!("# first\n{line}\n"));
        assert!(error.contains(&format!("it.toml: line 2 ({key}): ")), "{error}");
        assert!(error.contains(reason), "{error}");
    }
    // Also if a flag takes precedence over it.
    assert!(settings(&["--max-connections=7"], "max_connections = 0").is_err());
}

#[test]
fn integers_are_read_in_all_of_tomls_notations() {
    for (text, number) in [("0x20", 32), ("1_000", 1_000), ("+7", 7), ("0b11", 3)] {
        let given = settings(&[], &format!("max_connections = {text}")).unwrap();
        assert_eq!(given.max_connections.get(), number, "{text}");
    }
}

#[test]
fn an_error_repeats_nothing_that_could_be_a_secret() {
    for text in [
        "webhook_secret_file = whsec_c2VjcmV0",
        "max_connections = \"whsec_c2VjcmV0\"",
        "webhook_url = \"whsec_c2VjcmV0\"",
        "log = \"a=whsec_c2VjcmV0\"",
        "log_format = \"whsec_c2VjcmV0\"",
        "trusted_proxy = [\"whsec_c2VjcmV0\"]",
    ] {
        let error = error(&format!("\n{text}"));
        let key = text.split(' ').next().unwrap();
        assert!(error.contains("line 2") && error.contains(key), "{error}");
        assert!(!error.contains("c2VjcmV0"), "{error}");
    }
}

#[test]
fn a_named_file_must_exist() {
    let words = ["tegata", "serve", "--config", "/no/such.toml"];
    let matches = command_line().try_get_matches_from(words).unwrap();
    let (_, serve) = matches.subcommand().unwrap();
    let error =
        Unresolved::<ServeSettings>::from_arg_matches(serve).unwrap().resolve().err().unwrap();
    assert!(error.to_string().contains("/no/such.toml"), "{error}");
}
