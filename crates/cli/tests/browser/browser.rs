//! A person at a browser: what they see, press, and type.
//!
//! Controls are found by their name for assistive technology. Every wait is for a condition,
//! up to [`PATIENCE`].

use crate::driver::Driver;
use fantoccini::{
    Locator,
    actions::{
        InputSource as _, KeyAction, KeyActions, MOUSE_BUTTON_LEFT, MouseActions, PointerAction,
    },
    elements::Element,
    error::CmdError,
    key::Key,
};
use serde_json::{Value, json};
use std::{
    thread,
    time::{Duration, Instant},
};

/// How long a page may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(20);
/// More controls than any page has before the one that is looked for.
const TABS: usize = 300;

/// How a person uses the console.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Way {
    /// With a mouse, at a desk.
    Desk,
    /// With a finger, on a phone.
    Phone,
    /// By Tab, Enter, Space, arrows and typing alone.
    Keyboard,
    /// With a mouse, without JavaScript.
    NoScript,
}

pub struct Browser {
    pub driver: Driver,
    way: Way,
    /// The address of the server.
    pub url: String,
}

const PRESSED: &str = "a[href], button, summary, input[type=submit]";
const FILLED: &str = "input:not([type=hidden]):not([type=radio]):not([type=checkbox]), textarea";
const CHOSEN: &str = "input[type=radio], input[type=checkbox], option";

impl Browser {
    pub fn open(url: &str, way: Way) -> Self {
        let driver = Driver::start();
        let browser = Self { driver, way, url: url.to_owned() };
        browser.width(if way == Way::Phone { 360 } else { 1440 });
        if way == Way::NoScript {
            let off = json!({ "value": true });
            browser.driver.chromium("Emulation.setScriptExecutionDisabled", off);
        }
        browser
    }

    /// Prints a step, which is shown if the test fails.
    fn prints(&self, verb: &str, what: &str) {
        println!("{:?}: {verb} “{what}”", self.way);
    }

    /// Sets the width of the page.
    pub fn width(&self, width: u32) {
        let phone = width < 768;
        let metrics = json!({
            "width": width, "height": if phone { 740 } else { 900 },
            "deviceScaleFactor": 1, "mobile": phone,
        });
        self.driver.chromium("Emulation.setDeviceMetricsOverride", metrics);
    }

    /// Sets the preference of the system: `light` or `dark`.
    pub fn scheme(&self, scheme: &str) {
        let features = json!([
            { "name": "prefers-color-scheme", "value": scheme },
            { "name": "prefers-reduced-motion", "value": "reduce" },
        ]);
        self.driver.chromium("Emulation.setEmulatedMedia", json!({ "features": features }));
    }

    /// Opens an address, or a path of the server.
    pub fn goes_to(&self, place: &str) -> &Self {
        self.prints("goes to", place);
        let address =
            if place.starts_with('/') { format!("{}{place}", self.url) } else { place.to_owned() };
        self.driver.wait(self.driver.client.goto(&address));
        self
    }

    /// What the browser has complained about since the last call: scripts that failed, files
    /// that are missing, and violations of the policy for content.
    pub fn complaints(&self) -> Vec<String> {
        let mut all = self.driver.console();
        all.retain(|it| it.starts_with("\"SEVERE\"") || it.starts_with("\"WARNING\""));
        // A form with an error is answered with 422, and an act that is not possible now with
        // 409; both are pages.
        all.retain(|it| !it.contains("status of 422") && !it.contains("status of 409"));
        all
    }

    #[track_caller]
    pub fn has_no_complaint(&self) {
        let complaints = self.complaints();
        assert!(complaints.is_empty(), "{}: {complaints:#?}", self.path());
    }

    /// An attribute of the first element that a selector finds.
    pub fn attribute(&self, selector: &str, name: &str) -> Option<String> {
        let read = "return document.querySelector(arguments[0])?.getAttribute(arguments[1])";
        let read = self.driver.client.execute(read, vec![json!(selector), json!(name)]);
        self.driver.attempt(read).ok()?.as_str().map(str::to_owned)
    }

    /// The path of the page.
    pub fn path(&self) -> String {
        let url = self.driver.wait(self.driver.client.current_url());
        url.query().map_or_else(|| url.path().to_owned(), |it| format!("{}?{it}", url.path()))
    }

    /// Runs a script in the page.
    pub fn script(&self, script: &str, arguments: Vec<Value>) -> Value {
        self.driver.wait(self.driver.client.execute(script, arguments))
    }

    /// The visible text of the page.
    pub fn text(&self) -> String {
        self.try_text().unwrap_or_default()
    }

    fn try_text(&self) -> Result<String, CmdError> {
        let text = "return document.readyState === 'complete' ? document.body.innerText : ''";
        let text = self.driver.attempt(self.driver.client.execute(text, vec![]))?;
        Ok(text.as_str().unwrap_or_default().to_owned())
    }

    /// Waits until the page shows this text.
    #[track_caller]
    pub fn sees(&self, text: &str) -> &Self {
        self.prints("sees", text);
        self.until(&format!("“{text}” on the page"), || {
            self.text().contains(text).then_some(())
        });
        self
    }

    /// Waits until the page does not show this text any more.
    #[track_caller]
    pub fn does_not_see(&self, text: &str) -> &Self {
        self.until(&format!("page without “{text}”"), || {
            self.try_text().ok().filter(|it| !it.is_empty() && !it.contains(text))
        });
        self
    }

    /// Fills and sends a form by the names of its fields, whatever the language, and waits for
    /// the next page.
    #[track_caller]
    pub fn sends(&self, form: &str, fields: &[(&str, &str)]) -> &Self {
        let send = "const form = document.querySelector(arguments[0]);
            for (const [name, value] of arguments[1]) form.elements[name].value = value;
            window.sent = true; form.requestSubmit()";
        self.script(send, vec![json!(form), json!(fields)]);
        let arrived = "return !window.sent && document.readyState === 'complete'";
        self.until("the next page", || {
            let arrived = self.driver.client.execute(arrived, vec![]);
            (self.driver.attempt(arrived).ok()? == json!(true)).then_some(())
        });
        self
    }

    /// Follows a link, presses a button, or opens what a summary folds.
    #[track_caller]
    pub fn presses(&self, name: &str) -> &Self {
        self.prints("presses", name);
        self.until(&format!("a control “{name}”"), || {
            let control = self.find_or_unfold(PRESSED, name)?;
            self.pushes(&control)
        });
        self
    }

    /// Types into a field.
    #[track_caller]
    pub fn fills(&self, name: &str, text: &str) -> &Self {
        self.prints("fills", name);
        let field = self.until(&format!("a field “{name}”"), || {
            let field = self.find_or_unfold(FILLED, name)?;
            if self.way == Way::Keyboard {
                // Reaching a field by Tab selects what it holds.
                self.tabs_to(&field)?;
                return Some(field);
            }
            self.driver.attempt(field.clear()).ok().map(|()| field)
        });
        if self.way == Way::Keyboard {
            self.types(text);
        } else {
            self.driver.wait(field.send_keys(text));
        }
        self
    }

    /// Chooses a radio button, a checkbox or an option of a list.
    #[track_caller]
    pub fn chooses(&self, name: &str) -> &Self {
        self.prints("chooses", name);
        self.until(&format!("a choice “{name}”"), || {
            let choice = self.find_or_unfold(CHOSEN, name)?;
            if self.way != Way::Keyboard {
                return self.driver.attempt(choice.click()).ok();
            }
            self.chooses_by_keyboard(&choice, name)
        });
        self
    }

    fn chooses_by_keyboard(&self, choice: &Element, name: &str) -> Option<()> {
        let tag = self.driver.attempt(choice.tag_name()).ok()?;
        if tag == "option" {
            let list = self.driver.attempt(choice.find(Locator::XPath("ancestor::select"))).ok()?;
            self.tabs_to(&list)?;
            self.types(name);
            return Some(());
        }
        if self.driver.attempt(choice.is_selected()).ok()? {
            return Some(());
        }
        if self.driver.attempt(choice.attr("type")).ok()?.as_deref() == Some("checkbox") {
            self.tabs_to(choice)?;
            self.types_key(Key::Space);
            return Some(());
        }
        // Tab reaches one button of a group, and the arrows the others.
        let group = self.driver.attempt(choice.attr("name")).ok()??;
        self.tabs_to_group(&group)?;
        for _ in 0..TABS {
            let active = self.active()?;
            if active.element_id() == choice.element_id() {
                if !self.driver.attempt(choice.is_selected()).ok()? {
                    self.types_key(Key::Space);
                }
                return Some(());
            }
            self.types_key(Key::Down);
        }
        None
    }

    /// Moves the focus to a group of radio buttons.
    fn tabs_to_group(&self, name: &str) -> Option<()> {
        for _ in 0..TABS {
            let active = self.active()?;
            if self.driver.attempt(active.attr("name")).ok()?.as_deref() == Some(name) {
                return Some(());
            }
            self.types_key(Key::Tab);
        }
        None
    }

    /// Moves the focus to a control.
    fn tabs_to(&self, control: &Element) -> Option<()> {
        for _ in 0..TABS {
            if self.active()?.element_id() == control.element_id() {
                assert!(self.shows_focus(), "the focused control has no outline: {}", self.path());
                return Some(());
            }
            self.types_key(Key::Tab);
        }
        panic!(
            "Tab does not reach {:?} on {}",
            self.driver.name(&control.element_id()),
            self.path()
        );
    }

    /// Whether a person sees which control has the focus.
    fn shows_focus(&self) -> bool {
        let visible = "const all = [document.activeElement, document.activeElement.parentElement];
            return all.some(it => { const s = getComputedStyle(it);
                return (s.outlineStyle !== 'none' && s.outlineWidth !== '0px') || s.boxShadow !== 'none' })";
        self.script(visible, vec![]) == json!(true)
    }

    fn active(&self) -> Option<Element> {
        self.driver.attempt(self.driver.client.active_element()).ok()
    }

    /// Types text, key by key, where the focus is.
    pub fn types(&self, text: &str) {
        let keys = text.chars().fold(KeyActions::new("keys".into()), |keys, value| {
            keys.then(KeyAction::Down { value }).then(KeyAction::Up { value })
        });
        self.driver.wait(self.driver.client.perform_actions(keys));
    }

    pub fn types_key(&self, key: Key) {
        self.types(&char::from(key).to_string());
    }

    /// A visible control. If there is none yet, opens what folds it, as a phone's menu does.
    fn find_or_unfold(&self, controls: &str, name: &str) -> Option<Element> {
        if let Some(control) = self.find(controls, name) {
            return Some(control);
        }
        let folding = "const named = it => it.textContent.replace(/\\s+/g, ' ').trim().startsWith(arguments[1])
                || [...(it.labels ?? [])].some(label => label.textContent.trim() === arguments[1]);
            const hidden = [...document.querySelectorAll(arguments[0])].filter(named);
            const folds = hidden.map(it => it.closest('details:not([open])')
                ?? it.closest('header')?.querySelector('details:not([open])'));
            const summaries = folds.map(it => it?.querySelector('summary'));
            return summaries.find(it => it?.checkVisibility()) ?? null";
        let arguments = vec![json!(controls), json!(name)];
        let summary = self.driver.client.execute(folding, arguments);
        let summary = self.driver.attempt(summary).ok()?;
        let id = summary.as_object()?.values().next()?.as_str()?.to_owned();
        let summary = Element::from_element_id(self.driver.client.clone(), id.into());
        self.pushes(&summary)?;
        None
    }

    /// Activates a control.
    fn pushes(&self, control: &Element) -> Option<()> {
        if self.way == Way::Keyboard {
            self.tabs_to(control)?;
            self.types_key(Key::Enter);
            return Some(());
        }
        if self.driver.attempt(control.click()).is_ok() {
            return Some(());
        }
        // The driver takes what is in a closed `details` for hidden, also where it is shown.
        let center = "arguments[0].scrollIntoView({ block: 'center', behavior: 'instant' })";
        let center = self.driver.client.execute(center, vec![json!(control)]);
        self.driver.attempt(center).ok()?;
        let to = PointerAction::MoveToElement {
            element: control.clone(),
            duration: None,
            x: 0.0,
            y: 0.0,
        };
        let (down, up) = (
            PointerAction::Down { button: MOUSE_BUTTON_LEFT },
            PointerAction::Up { button: MOUSE_BUTTON_LEFT },
        );
        let mouse = MouseActions::new("mouse".into()).then(to).then(down).then(up);
        self.driver.attempt(self.driver.client.perform_actions(mouse)).ok()
    }

    fn is_visible(&self, control: &Element) -> bool {
        let visible = "return arguments[0].checkVisibility({ visibilityProperty: true })
            && arguments[0].getClientRects().length > 0";
        let visible = self.driver.client.execute(visible, vec![json!(control)]);
        self.driver.attempt(visible).is_ok_and(|it| it == json!(true))
    }

    /// The first visible control of this kind whose name is, or else begins with, `name`.
    fn find(&self, controls: &str, name: &str) -> Option<Element> {
        let all = self.driver.client.find_all(Locator::Css(controls));
        let mut begins = None;
        for control in self.driver.attempt(all).ok()? {
            let own = self.driver.name(&control.element_id()).ok()?;
            if !own.starts_with(name) || !self.is_visible(&control) {
                continue;
            }
            if own == name {
                return Some(control);
            }
            begins.get_or_insert(control);
        }
        begins
    }

    #[track_caller]
    pub fn until<T>(&self, what: &str, condition: impl Fn() -> Option<T>) -> T {
        let began = stopwatch();
        while began.elapsed() < PATIENCE {
            if let Some(it) = condition() {
                return it;
            }
            thread::sleep(PAUSE);
        }
        let (path, text, console) = (self.path(), self.text(), self.driver.console());
        panic!("{:?}: no {what} on {path}, which shows:\n{text}\n{console:#?}", self.way);
    }
}

#[expect(clippy::disallowed_methods, reason = "a browser and its pages take real time")]
fn stopwatch() -> Instant {
    Instant::now()
}
