//! Tests that failed while others ran on the same processors, run again alone.
//!
//! A time limit that a loaded machine missed is no verdict on the code, and a race is one.
//! Both pass when they run alone, so a test that does is named at the end of the run, with
//! what it printed when it failed: it is a defect to be looked into. One that fails again,
//! a binary that crashed, a random history that found something, or more than [`MOST`]
//! failures fail the run.

use crate::binary::{Binary, End, finish};

/// Maximum number of failed tests that run again: more have a common cause.
const MOST: usize = 4;

/// Words in the name or the output of tests whose input is random: the next input says
/// nothing about the one that failed.
const RANDOM: [&str; 4] =
    ["random_history", "every_history", "no_acknowledged_act", "minimal failing input"];

/// Binaries and modules whose tests choose moments at random, or race: a token that is lost once in
/// a hundred times is lost.
const NEVER: [&str; 4] = ["tegata/crash", "tegata/race", "cap_race", "races"];

/// Lines of a failed test's output that are repeated at the end of the run.
const LINES: usize = 30;

/// The failed tests of one binary.
pub struct Failed<'a> {
    /// The binary.
    pub binary: &'a Binary,
    /// Its tests, and what each of them printed.
    pub tests: Vec<(String, String)>,
}

impl<'a> Failed<'a> {
    /// The failed tests of a binary's run; `None` if there are none or not all are known.
    pub fn of(binary: &'a Binary, end: &End) -> Option<Self> {
        let tests = names(&end.output);
        let all_known = u64::try_from(tests.len()) == Ok(end.counts.failed);
        let with_output = |name: String| {
            let printed = printed(&end.output, &name);
            (name, printed)
        };
        let is_due = all_known && !tests.is_empty();
        is_due.then(|| Self { binary, tests: tests.into_iter().map(with_output).collect() })
    }
}

/// Runs failed tests again, one after the other, and returns how many of them passed.
pub fn run(failed: &[Failed<'_>], long: bool) -> u64 {
    let all: usize = failed.iter().map(|it| it.tests.len()).sum();
    if all > MOST {
        println!("{all} tests failed: too many to run them again alone");
        return 0;
    }
    let mut passed = 0;
    for (binary, (name, printed)) in failed.iter().flat_map(|it| {
        let of_binary = |test| (it.binary, test);
        it.tests.iter().map(of_binary)
    }) {
        let is_random = RANDOM.iter().any(|it| name.contains(it) || printed.contains(it));
        let is_never = |it: &str| binary.name == it || name.split("::").any(|part| part == it);
        if is_random || NEVER.into_iter().any(is_never) {
            println!("\nFAILED, and not run again: {name} of {}. It printed:", binary.name);
            println!("{}", shortened(printed));
            continue;
        }
        let mut command = binary.command();
        let end = finish(name, command.args(["--exact", name, "--test-threads=1"]), long);
        let alone = end.counts.passed == 1 && end.counts.failed == 0;
        passed += u64::from(alone);
        let name = format!("{} of {}", name, binary.name);
        match alone {
            true => println!("\nPASSED ONLY ALONE: {name}. When it failed, it printed:"),
            false => println!("\nFAILED AGAIN, ALONE: {name}. The first time it printed:"),
        }
        println!("{}", shortened(printed));
    }
    passed
}

/// The names in the last list `failures:` of each run.
fn names(output: &str) -> Vec<String> {
    let mut names = Vec::new();
    for part in output.split("\nfailures:\n").skip(1) {
        let listed = part.lines().map_while(|line| line.strip_prefix("    "));
        names.extend(listed.map(str::to_owned));
    }
    names
}

/// What a failed test printed.
fn printed(output: &str, name: &str) -> String {
    let head = format!("---- {name} stdout ----\n");
    let text = output.split_once(&head).map_or("", |(_, text)| text);
    let end = text.find("\n---- ").into_iter().chain(text.find("\nfailures:\n")).min();
    text[..end.unwrap_or(text.len())].trim_end().to_owned()
}

/// Its beginning.
fn shortened(printed: &str) -> String {
    printed.lines().take(LINES).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::binary::Counts;
    use std::time::Duration;

    const OUTPUT: &str = "running 3 tests\n\nfailures:\n\n---- a::b stdout ----\nleft\nright\n\n\
        ---- c stdout ----\nlate\n\nfailures:\n    a::b\n    c\n\n\
        test result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out\n";

    /// As the name of a test: `echo` prints it on a line of its own.
    const PASSED: &str = "\ntest result: ok. 1 passed; 0 failed;";

    fn end(output: &str, failed: u64) -> End {
        let (name, output) = ("it".to_owned(), output.to_owned());
        End { name, counts: Counts { passed: 1, failed }, output, time: Duration::ZERO }
    }

    /// A binary whose tests pass or fail as `program` does.
    fn binary(program: &str) -> Binary {
        Binary::named("it", program)
    }

    #[test]
    fn the_failed_tests_are_found_with_what_they_printed() {
        let binary = binary("false");
        let found = Failed::of(&binary, &end(OUTPUT, 2)).unwrap();
        let pair = |name: &str, text: &str| (name.to_owned(), text.to_owned());
        assert_eq!(found.tests, [pair("a::b", "left\nright"), pair("c", "late")]);
    }

    #[test]
    fn a_crash_is_not_run_again() {
        let binary = binary("true");
        assert!(Failed::of(&binary, &end("Segmentation fault", 1)).is_none());
        assert!(Failed::of(&binary, &end(OUTPUT, 3)).is_none(), "one has no name");
    }

    #[test]
    fn a_test_that_fails_again_or_does_not_run_is_still_failed() {
        let (silent, fails) = (binary("true"), binary("false"));
        let tests = vec![("a".to_owned(), String::new())];
        for binary in [&silent, &fails] {
            assert_eq!(run(&[Failed { binary, tests: tests.clone() }], false), 0);
        }
    }

    #[test]
    fn what_a_random_input_found_is_not_run_again() {
        let passes = binary("/bin/echo");
        let test = |name: &str, text: &str| {
            let name = format!("{PASSED} {name}");
            [Failed { binary: &passes, tests: vec![(name, text.to_owned())] }]
        };
        assert_eq!(run(&test("late", "no answer"), false), 1);
        let late = format!("{}minimal failing input: a", "a line\n".repeat(LINES));
        assert_eq!(run(&test("late", &late), false), 0, "wherever it is in the output");
        assert_eq!(run(&test("of_a_random_history", "no answer"), false), 0);
    }

    #[test]
    fn what_kills_or_races_found_is_not_run_again() {
        let tests = vec![(format!("{PASSED} a_kill_loses_nothing"), String::new())];
        let of = |name: &str| Binary::named(name, "/bin/echo");
        let run = |binary: &Binary, tests| run(&[Failed { binary, tests }], false);
        assert_eq!(run(&of("store/it"), tests.clone()), 1);
        assert_eq!(run(&of("tegata/crash"), tests.clone()), 0);
        let in_module = vec![(format!("{PASSED} x::cap_race::one"), String::new())];
        assert_eq!(run(&of("store/it"), in_module), 0);
    }

    #[test]
    fn many_failures_are_not_run_again() {
        let passes = binary("/bin/echo");
        let tests = |many| vec![(PASSED.to_owned(), String::new()); many];
        let failed = |many| [Failed { binary: &passes, tests: tests(many) }];
        assert_eq!(run(&failed(MOST), false), 4);
        assert_eq!(run(&failed(MOST + 1), false), 0);
    }
}
