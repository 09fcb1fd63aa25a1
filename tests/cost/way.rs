//! Processes a request, from its bytes to its stanzas, and measures the cost of each step. `Reader::is_slow` decides
//! whether a step runs on the event loop or on a thread, as in the composer of the binding.

use std::path::Path;
use std::sync::{Arc, LazyLock};

use post_msg::http::answer::{AnswerContext, refusal};
use post_msg::http::problem::Problem;
use post_msg::http::query::Query;
use post_msg::message::address::Server;
use post_msg::message::element::{Child, Element};
use post_msg::message::kind::Kind;
use post_msg::message::limits::Limits;
use post_msg::payload::batch::Batch;
use post_msg::payload::file::name_in;
use post_msg::payload::query_fields::QueryFields;
use post_msg::payload::reader::{Reader, UnaddressedMessage, Uploads};
use post_msg::payload::webhook::{UrlParts, Webhook};
use post_msg::template::context::{Headers, Occasion, Posted};
use post_msg::template::engine::Templates;
use post_msg::template::source::Folder;

use super::recipe::Request;
use super::rules::{self, Cost};

/// The defaults of the settings.
pub const LIMITS: Limits = Limits {
    size: 196_608,
    recipients: 100,
    batch: 10_000,
    body: 10 << 20,
};

/// A server with lower case as normal form.
pub struct AnyAddress;

impl Server for AnyAddress {
    fn host(&self) -> &str {
        "example.com"
    }

    fn normal(&self, address: &str) -> Option<String> {
        Some(address.to_lowercase())
    }

    fn serves(&self, domain: &str) -> bool {
        domain.ends_with(".com")
    }

    fn has_rooms(&self, domain: &str) -> bool {
        domain.starts_with("rooms.")
    }
}

/// The built-in templates, and the templates of `tests/cost/templates`, which use all filters.
pub static TEMPLATES: LazyLock<Arc<Templates>> = LazyLock::new(|| {
    let folder = Folder::new(Path::new(super::ROOT).join("tests/cost/templates"));
    assert!(!folder.names().is_empty());
    Arc::new(Templates::new(Some(folder)))
});

/// The cost of a request. If it is above the limits, the least of three runs.
pub fn cost(request: &Request) -> Cost {
    LazyLock::force(&TEMPLATES);
    rules::least_cost(request.bytes(), |cost| {
        cost.status = match go(request, cost) {
            Ok(()) => 200,
            Err(problem) => {
                let accept = request.header("Accept").map(str::as_bytes);
                let content_type = request.header("Content-Type").map(str::as_bytes);
                let asked = AnswerContext {
                    accept,
                    content_type,
                    id: None,
                };
                cost.hold("the refusal", || drop(refusal(&problem, asked)));
                problem.status()
            }
        };
    })
}

fn go(request: &Request, cost: &mut Cost) -> Result<(), Problem> {
    let bytes = |name| request.header(name).map(str::as_bytes);
    let reader = cost.hold("the headers", || {
        let mut query = Query::parse(bytes("query").unwrap_or_default());
        let fields = QueryFields::of(&mut query, false)?;
        if let Some(name) = request.header("as") {
            let (templates, headers) = (
                Arc::clone(&TEMPLATES),
                Headers::new(request.headers.clone()),
            );
            let (content_type, coding) = (bytes("Content-Type"), bytes("Content-Encoding"));
            let declared = templates.declarations(name);
            let url = UrlParts::new(
                &declared,
                Posted::default(),
                false,
                (&headers, &query, content_type),
            );
            let occasion = Occasion::now();
            let webhook = Webhook::new(templates, name.to_owned(), headers, query, occasion);
            let webhook = webhook.with_templates(None, fields).with_url(url);
            return Reader::of_webhook(content_type, coding, webhook, true);
        }
        let disposition = bytes("Content-Disposition");
        let uploads = Uploads {
            are_possible: Some(request.header("uploads") != Some("nowhere")),
            name: disposition.and_then(name_in),
        };
        Reader::new(
            bytes("Content-Type"),
            bytes("Content-Encoding"),
            fields,
            uploads,
        )
    })?;
    let in_url = Ok(vec!["user".to_owned()]);
    let mut batch = Batch::new("me@example.com".to_owned(), in_url, LIMITS, None);
    let receipt = request.header("Prefer").is_some();
    let is_slow = cost.hold("whether it is slow", || reader.is_slow(&request.body));
    if is_slow {
        let read = cost.on_thread(|| reader.read(&request.body.clone(), receipt, &LIMITS));
        cost.hold("to take what was read", || batch.take(read))?;
    } else {
        cost.hold("to read", || {
            batch.take(reader.read(&request.body, receipt, &LIMITS))
        })?;
    }
    // One message at a time, as in the shortest slice.
    while !cost.hold("to resolve", || batch.resolve(&AnyAddress, || false))? {}
    loop {
        let elements = cost.hold("a stanza", || {
            batch
                .next_message()
                .map(|message| elements(&message.element()))
        });
        match elements {
            Some(elements) => cost.elements = cost.elements.max(elements),
            None => break,
        }
    }
    // A large batch is freed on a thread (see the batch of the binding).
    if is_slow {
        cost.on_thread(|| drop(batch.take_contents()));
    }
    cost.hold("to free it", || drop(batch));
    Ok(())
}

/// The number of elements.
fn elements(element: &Element) -> usize {
    let children = element.children().iter().map(|child| match child {
        Child::Element(element) => elements(element),
        Child::Text(_) => 0,
    });
    1 + children.sum::<usize>()
}

/// The messages of a request as XML, in order. Empty if it is refused.
pub fn output(request: &Request) -> String {
    let bytes = |name| request.header(name).map(str::as_bytes);
    let webhook = request.header("as").map(|name| {
        let (templates, headers) = (
            Arc::clone(&TEMPLATES),
            Headers::new(request.headers.clone()),
        );
        Webhook::new(
            templates,
            name.to_owned(),
            headers,
            Query::parse(b""),
            Occasion::default(),
        )
    });
    let reader = match webhook {
        Some(webhook) => Reader::of_webhook(bytes("Content-Type"), None, webhook, true),
        None => Reader::new(
            bytes("Content-Type"),
            None,
            QueryFields::default(),
            Uploads::default(),
        ),
    };
    let read = reader.and_then(|reader| reader.read(&request.body, false, &LIMITS));
    let messages = read.map(|payload| payload.messages).unwrap_or_default();
    let xml =
        |message: &UnaddressedMessage| message.content.element("a", "b", Kind::Chat).to_string();
    messages.iter().map(xml).collect()
}
