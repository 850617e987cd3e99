//! A real browser, driven over the DevTools protocol: messages of JSON, each ended by a zero byte, over two pipes
//! (`--remote-debugging-pipe`). No port, no driver, no library.
#![allow(missing_docs)]

use std::cell::RefCell;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(60);
/// For an answer of the browser: looking through a large page takes long on a busy machine.
const ANSWER: Duration = Duration::from_secs(300);

/// Chromium, or what is called so here; `CHROMIUM` names another.
pub fn find() -> Option<PathBuf> {
    if let Some(path) = std::env::var_os("CHROMIUM") {
        return Some(path.into());
    }
    let path = std::env::var_os("PATH")?;
    ["chromium", "chromium-browser", "google-chrome"]
        .iter()
        .flat_map(|name| std::env::split_paths(&path).map(move |folder| folder.join(name)))
        .find(|path| path.is_file())
}

/// The browser, or a loud word that there is none.
pub fn start() -> Option<Browser> {
    let Some(program) = find() else {
        // Not by a macro: those are shown only if a test fails.
        let _ = std::io::stderr().write_all(
            b"\nSKIPPED: there is no chromium here, so the page was not tried in a browser (apt-get install chromium)\n\n",
        );
        return None;
    };
    Some(Browser::start(&program))
}

pub struct Browser {
    child: Child,
    wire: RefCell<Wire>,
    _profile: tempfile::TempDir,
}

struct Wire {
    to: ChildStdin,
    from: Receiver<Value>,
    last: u64,
    /// Errors and warnings of every page.
    console: Vec<String>,
    /// Addresses that pages asked for.
    asked: Vec<String>,
}

impl Browser {
    pub fn start(program: &std::path::Path) -> Self {
        let profile = tempfile::tempdir().unwrap();
        // It reads from handle 3 and writes to handle 4.
        let mut child = Command::new("sh")
            .args([
                "-c",
                "exec \"$0\" \"$@\" 3<&0 4>&1 </dev/null >/dev/null 2>&1",
            ])
            .arg(program)
            .args([
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-dev-shm-usage",
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
                "--no-first-run",
                "--lang=en",
                "--remote-debugging-pipe",
            ])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (to, mut from) = (
            child.stdin.take().unwrap(),
            BufReader::new(child.stdout.take().unwrap()),
        );
        let (sender, receiver) = channel();
        std::thread::spawn(move || {
            let mut bytes = Vec::new();
            while from.read_until(0, &mut bytes).is_ok_and(|read| read > 0) {
                let message = serde_json::from_slice(&bytes[..bytes.len() - 1]).unwrap();
                if sender.send(message).is_err() {
                    break;
                }
                bytes.clear();
            }
        });
        Self {
            child,
            wire: RefCell::new(Wire {
                to,
                from: receiver,
                last: 0,
                console: Vec::new(),
                asked: Vec::new(),
            }),
            _profile: profile,
        }
    }

    fn call(&self, session: Option<&str>, method: &str, parameters: Value) -> Value {
        let mut wire = self.wire.borrow_mut();
        wire.last += 1;
        let id = wire.last;
        let mut message = json!({ "id": id, "method": method, "params": parameters });
        if let Some(session) = session {
            message["sessionId"] = session.into();
        }
        wire.to
            .write_all(format!("{message}\0").as_bytes())
            .unwrap();
        loop {
            let message = wire
                .from
                .recv_timeout(ANSWER)
                .unwrap_or_else(|error| panic!("the browser does not answer to {method}: {error}"));
            wire.note(&message);
            if message["id"] == id {
                assert!(message["error"].is_null(), "{method}: {message}");
                return message["result"].clone();
            }
        }
    }

    /// A page of its own: nothing that another has, no cookie either.
    pub fn person(&self) -> Page<'_> {
        let context = self.call(None, "Target.createBrowserContext", json!({}));
        self.page(context["browserContextId"].as_str().unwrap().to_owned())
    }

    fn page(&self, context: String) -> Page<'_> {
        let target = self.call(
            None,
            "Target.createTarget",
            json!({ "url": "about:blank", "browserContextId": context }),
        );
        let session = self.call(
            None,
            "Target.attachToTarget",
            json!({ "targetId": target["targetId"], "flatten": true }),
        );
        let page = Page {
            browser: self,
            session: session["sessionId"].as_str().unwrap().to_owned(),
            context,
        };
        for domain in ["Page", "Runtime", "Log", "Network"] {
            page.call(&format!("{domain}.enable"), json!({}));
        }
        page
    }

    /// The addresses that pages asked for since this was asked last.
    pub fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.wire.borrow_mut().asked)
    }

    /// What pages complained about since this was asked last.
    pub fn complaints(&self) -> Vec<String> {
        std::mem::take(&mut self.wire.borrow_mut().console)
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Wire {
    fn note(&mut self, message: &Value) {
        let parameters = &message["params"];
        let complaint = match message["method"].as_str() {
            Some("Runtime.exceptionThrown") => true,
            Some("Runtime.consoleAPICalled") => ["error", "warning", "assert"]
                .iter()
                .any(|kind| parameters["type"] == *kind),
            Some("Log.entryAdded") => ["error", "warning"]
                .iter()
                .any(|level| parameters["entry"]["level"] == *level),
            _ => false,
        };
        if message["method"] == "Network.requestWillBeSent"
            && let Some(address) = parameters["request"]["url"].as_str()
        {
            self.asked.push(address.to_owned());
        }
        if complaint {
            self.console.push(parameters.to_string());
        }
    }
}

/// A tab.
pub struct Page<'b> {
    browser: &'b Browser,
    session: String,
    context: String,
}

impl Page<'_> {
    fn call(&self, method: &str, parameters: Value) -> Value {
        self.browser.call(Some(&self.session), method, parameters)
    }

    /// Another tab of the same person.
    pub fn tab(&self) -> Self {
        self.browser.page(self.context.clone())
    }

    pub fn open(&self, address: &str) {
        self.call("Page.navigate", json!({ "url": address }));
        self.until("document.readyState === 'complete'");
    }

    pub fn as_desktop(&self) {
        let size = json!({ "width": 1100, "height": 800, "deviceScaleFactor": 1, "mobile": false });
        self.call("Emulation.setDeviceMetricsOverride", size);
    }

    /// A phone at night.
    pub fn as_phone(&self) {
        let size = json!({ "width": 390, "height": 800, "deviceScaleFactor": 2, "mobile": true });
        self.call("Emulation.setDeviceMetricsOverride", size);
        self.call(
            "Emulation.setTouchEmulationEnabled",
            json!({ "enabled": true }),
        );
        self.dark();
    }

    /// A window of this width.
    pub fn wide(&self, width: u32) {
        let size =
            json!({ "width": width, "height": 900, "deviceScaleFactor": 1, "mobile": false });
        self.call("Emulation.setDeviceMetricsOverride", size);
    }

    /// Without a network.
    pub fn offline(&self) {
        let none = json!({ "offline": true, "latency": 0, "downloadThroughput": 0, "uploadThroughput": 0 });
        self.call("Network.emulateNetworkConditions", none);
    }

    /// Scripts of pages do not run; what tests ask still does.
    pub fn without_script(&self) {
        self.call(
            "Emulation.setScriptExecutionDisabled",
            json!({ "value": true }),
        );
    }

    /// As it is printed.
    pub fn printed(&self) {
        self.call("Emulation.setEmulatedMedia", json!({ "media": "print" }));
    }

    /// Clicks the middle of an element with the mouse.
    pub fn click(&self, selector: &str) {
        let place = self.value(&format!(
            "(() => {{ const one = document.querySelector('{selector}'); one.scrollIntoView({{ block: 'center' }});
               const box = one.getBoundingClientRect(); return [box.x + box.width / 2, box.y + box.height / 2]; }})()"
        ));
        for kind in ["mousePressed", "mouseReleased"] {
            let event = json!({ "type": kind, "x": place[0], "y": place[1], "button": "left", "clickCount": 1 });
            self.call("Input.dispatchMouseEvent", event);
        }
    }

    /// What goes beyond the window, apart from tables in their own frames: some of it.
    pub fn beyond(&self) -> Value {
        self.value(
            "[...document.querySelectorAll('main *, header *, footer *')]
               .filter((one) => !one.closest('.scroll, svg, .command, .switch legend') && one.getBoundingClientRect().right > window.innerWidth + 1)
               .concat(document.documentElement.scrollWidth > window.innerWidth ? [document.body] : [])
               .slice(0, 3).map((one) => one.outerHTML.slice(0, 300))",
        )
    }

    /// What axe-core finds of these impacts, if `AXE` names its script (`npm pack axe-core`).
    pub fn violations(&self, impacts: &[&str]) -> Option<Value> {
        let script = std::fs::read_to_string(std::env::var_os("AXE")?).unwrap();
        self.value(&format!("{script}; 1"));
        Some(self.value(&format!(
            "axe.run(document, {{ resultTypes: ['violations'], runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] }}).then((all) =>
               all.violations.filter((one) => {}.includes(one.impact))
                 .map((one) => one.id + ': ' + one.nodes.slice(0, 4).map((node) => node.html + ' ' + node.failureSummary).join(' | ')))",
            json!(impacts)
        )))
    }

    pub fn dark(&self) {
        let dark = json!([{ "name": "prefers-color-scheme", "value": "dark" }]);
        self.call("Emulation.setEmulatedMedia", json!({ "features": dark }));
    }

    /// The value of an expression, a promise's when it is there.
    pub fn value(&self, expression: &str) -> Value {
        let result = self.call(
            "Runtime.evaluate",
            json!({ "expression": expression, "awaitPromise": true, "returnByValue": true }),
        );
        assert!(
            result["exceptionDetails"].is_null(),
            "{expression}: {result}"
        );
        result["result"]["value"].clone()
    }

    pub fn text(&self, selector: &str) -> String {
        let text = self.value(&format!("document.querySelector('{selector}').innerText"));
        text.as_str().unwrap_or_default().to_owned()
    }

    /// Waits until an expression is true.
    pub fn until(&self, expression: &str) {
        let began = Instant::now();
        while self.value(&format!("Boolean({expression})")) != true {
            assert!(
                began.elapsed() < PATIENCE,
                "not true: {expression}\n{}\n{:?}",
                self.text("body"),
                self.browser.wire.borrow().console
            );
            std::thread::sleep(Duration::from_millis(30));
        }
    }

    /// Presses a key and lets it go.
    pub fn key(&self, key: &str) {
        let mut press = json!({ "type": "keyDown", "key": key });
        match key {
            "Enter" => {
                press["text"] = "\r".into();
                press["windowsVirtualKeyCode"] = 13.into();
            }
            "Escape" => press["windowsVirtualKeyCode"] = 27.into(),
            "Tab" => press["windowsVirtualKeyCode"] = 9.into(),
            _ => press["text"] = key.into(),
        }
        self.call("Input.dispatchKeyEvent", press);
        self.call(
            "Input.dispatchKeyEvent",
            json!({ "type": "keyUp", "key": key }),
        );
    }

    /// Types into what has the focus.
    pub fn type_in(&self, text: &str) {
        self.call("Input.insertText", json!({ "text": text }));
    }

    /// Touches the middle of an element.
    pub fn touch(&self, selector: &str) {
        let place = self.value(&format!(
            "(() => {{ const box = document.querySelector('{selector}').getBoundingClientRect();
               return [box.x + box.width / 2, box.y + box.height / 2]; }})()"
        ));
        let point = json!({ "x": place[0], "y": place[1] });
        let kinds = [("touchStart", json!([point])), ("touchEnd", json!([]))];
        for (kind, points) in kinds {
            self.call(
                "Input.dispatchTouchEvent",
                json!({ "type": kind, "touchPoints": points }),
            );
        }
    }

    /// A picture of the page, if `PAGE_PICTURES` names a folder for them.
    pub fn picture(&self, name: &str) {
        let Some(folder) = std::env::var_os("PAGE_PICTURES") else {
            return;
        };
        let picture = self.call("Page.captureScreenshot", json!({}));
        let path = PathBuf::from(folder).join(format!("{name}.png"));
        std::fs::write(path, decoded(picture["data"].as_str().unwrap())).unwrap();
    }
}

/// Base64 to bytes.
fn decoded(text: &str) -> Vec<u8> {
    let value = |byte: u8| match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' => 62,
        _ => 63,
    };
    let bytes: Vec<u8> = text.bytes().filter(|byte| *byte != b'=').collect();
    bytes
        .chunks(4)
        .flat_map(|four| {
            let bits = four
                .iter()
                .fold(0u32, |bits, byte| bits << 6 | u32::from(value(*byte)));
            let bits = bits << (6 * (4 - four.len()));
            bits.to_be_bytes()[1..four.len()].to_vec()
        })
        .collect()
}
