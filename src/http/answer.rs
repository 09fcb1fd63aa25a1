//! Problems and outcomes → the answer's status, media type and body.

use serde::Serialize;

use super::accept::wants_problem_json;
use super::pieces::Pieces;
use super::problem::{Place, Problem, is_invisible};

/// An HTTP answer. The Lua half adds further headers (`Allow`, `WWW-Authenticate`, …).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    pub media_type: &'static str,
    pub body: String,
}

impl Answer {
    /// The answer that another program expects for success. `text` may be JSON. An empty text is answered 204.
    pub fn expected(text: &str) -> Answer {
        let is_json = text.starts_with(['{', '['])
            && serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok();
        Answer {
            status: if text.is_empty() { 204 } else { 200 },
            media_type: match is_json {
                true => "application/json",
                false => "text/plain; charset=utf-8",
            },
            body: text.to_owned(),
        }
    }
}

/// A problem as `application/problem+json` has it (RFC 9457, section 3.1).
#[derive(Serialize)]
struct Details<'a> {
    status: u16,
    title: &'static str,
    detail: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    condition: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    offset: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    column: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<&'a str>,
}

impl<'a> Details<'a> {
    fn of(problem: &'a Problem) -> Details<'a> {
        let (offset, line, column) = match problem.place {
            None => (None, None, None),
            Some(Place::Offset(offset)) => (Some(offset), None, None),
            Some(Place::Line { line, column }) => (None, Some(line), Some(column)),
        };
        Details {
            status: problem.status(),
            title: title(problem.status()),
            detail: one_line(&problem.detail),
            condition: problem.condition.as_deref(),
            field: problem.field.as_deref().map(one_line),
            offset,
            line,
            column,
            request_id: None,
        }
    }
}

/// The title and the detail of a problem, as every answer shows them.
pub fn title_and_detail(problem: &Problem) -> (&'static str, String) {
    (title(problem.status()), one_line(&problem.detail))
}

/// The maximum number of characters in a line of text.
const LONGEST: usize = 1000;

/// The beginning of a text on one line, without characters that a browser could read as markup.
fn one_line(text: &str) -> String {
    text.chars()
        .take(LONGEST)
        .map(|c| match c {
            '<' => '‹',
            '>' => '›',
            c if is_invisible(c) => ' ',
            c => c,
        })
        .collect()
}

/// A status that an answer may have.
pub struct Status {
    /// The status code.
    pub code: u16,
    /// Its reason phrase (RFC 9110, section 15; RFC 4918; RFC 6585).
    pub title: &'static str,
    /// When this status is the answer, in Markdown.
    pub when: &'static str,
}

const fn status(code: u16, title: &'static str, when: &'static str) -> Status {
    Status { code, title, when }
}

/// The statuses of answers, in ascending order.
pub static STATUSES: &[Status] = &[
    status(
        200,
        "OK",
        "delivered: with `Prefer: wait`, the receipt has arrived",
    ),
    status(
        201,
        "Created",
        "sent, and no bounce has arrived; with `?as=`, `200` or the status that the program expects",
    ),
    status(
        202,
        "Accepted",
        "with `Prefer: wait`, neither a receipt nor a bounce has arrived in that time",
    ),
    status(
        204,
        "No Content",
        "with `?as=`, if the program expects an empty answer",
    ),
    status(
        207,
        "Multi-Status",
        "several messages with different outcomes",
    ),
    status(
        400,
        "Bad Request",
        "the request cannot be read: malformed JSON, form, multipart or compressed data, or bytes that are not valid in the charset",
    ),
    status(401, "Unauthorized", "the credentials are missing or wrong"),
    status(
        403,
        "Forbidden",
        "the sender may not send; or the recipient's server, or the room, forbids it",
    ),
    status(
        404,
        "Not Found",
        "the recipient does not exist, or cannot be reached",
    ),
    status(
        405,
        "Method Not Allowed",
        "a method other than `POST`, `PUT` and `OPTIONS`, or `GET` of a path without a file",
    ),
    status(
        409,
        "Conflict",
        "a request with this `Idempotency-Key` is under way; or the room reports a conflict",
    ),
    status(410, "Gone", "the recipient has gone for good"),
    status(
        413,
        "Content Too Large",
        "too large: a message over `post_msg_size_limit`, a request over Prosody's `http_max_content_size`, messages of over 64 MiB together, an answer that would repeat over 16 MiB of ids and addresses, or a file over the limit of the upload service",
    ),
    status(
        415,
        "Unsupported Media Type",
        "a media type, charset or compression that is not supported; or a file, if there is no upload service",
    ),
    status(
        422,
        "Unprocessable Content",
        "the request can be read, but is not a valid message; or the recipient's server does not accept it",
    ),
    status(
        429,
        "Too Many Requests",
        "too many failed attempts; see `Retry-After`",
    ),
    status(
        500,
        "Internal Server Error",
        "a defect of this module: please report it",
    ),
    status(
        501,
        "Not Implemented",
        "a coding in `Transfer-Encoding` other than `chunked`",
    ),
    status(
        502,
        "Bad Gateway",
        "the recipient's server cannot be found or has failed",
    ),
    status(
        503,
        "Service Unavailable",
        "the server is busy or short of resources, the template is broken, or the module was unloaded: try again; see `Retry-After`",
    ),
    status(
        504,
        "Gateway Timeout",
        "the recipient's server, or the room, does not answer",
    ),
];

fn title(code: u16) -> &'static str {
    let known = STATUSES.iter().find(|status| status.code == code);
    known.map_or("Internal Server Error", |status| status.title)
}

/// A value as JSON.
pub fn json(value: &(impl Serialize + ?Sized)) -> String {
    // This cannot fail: all keys of maps are strings.
    serde_json::to_string(value).unwrap_or_default()
}

/// The parts of a request on which the form of its answer depends.
#[derive(Debug, Clone, Copy, Default)]
pub struct AnswerContext<'a> {
    /// The header Accept.
    pub accept: Option<&'a [u8]>,
    /// The header Content-Type.
    pub content_type: Option<&'a [u8]>,
    /// The id of the request.
    pub id: Option<&'a str>,
}

/// Answers a request with a problem, in JSON or as a line of text.
pub fn refusal(problem: &Problem, context: AnswerContext) -> Answer {
    let (media_type, body) = if wants_problem_json(context.accept, context.content_type) {
        let details = Details {
            request_id: context.id,
            ..Details::of(problem)
        };
        ("application/problem+json", json(&details))
    } else {
        let mut line = one_line(&problem.detail);
        line.push('\n');
        ("text/plain; charset=utf-8", line)
    };
    Answer {
        status: problem.status(),
        media_type,
        body,
    }
}

/// The outcome of one message in an answer.
#[derive(Serialize)]
struct Outcome<'a> {
    id: &'a str,
    from: &'a str,
    to: &'a str,
    status: &'static str,
    #[serde(flatten)]
    file: Option<UploadedFile<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Details<'a>>,
}

/// The file to which a message links.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct UploadedFile<'a> {
    pub url: &'a str,
    /// Its name, in which XMPP may not have allowed all characters that the client sent.
    pub filename: &'a str,
}

/// The maximum number of bytes of the details of all failed messages in one answer.
const DETAILS: usize = 1 << 20;

/// The answer to a request for messages.
#[derive(Debug)]
pub struct LongAnswer {
    pub status: u16,
    pub media_type: &'static str,
    pub body: Pieces,
}

impl From<Answer> for LongAnswer {
    fn from(answer: Answer) -> LongAnswer {
        let mut body = Pieces::default();
        body.push(&answer.body);
        LongAnswer {
            status: answer.status,
            media_type: answer.media_type,
            body,
        }
    }
}

/// The outcomes of a request's messages, collected one by one.
#[derive(Debug)]
pub struct Report {
    json: bool,
    /// The outcomes so far, as members of an array or as lines.
    outcomes: Pieces,
    /// The bytes that are left for details.
    details: usize,
    messages: usize,
    /// The common status of all messages so far, if there is one.
    status: Option<u16>,
    /// The first problem. The details of later problems are appended to its detail.
    problem: Option<Problem>,
}

impl Report {
    /// A report without messages. `json`: whether the answer is JSON.
    pub fn new(json: bool) -> Report {
        Report {
            json,
            outcomes: Pieces::default(),
            details: DETAILS,
            messages: 0,
            status: None,
            problem: None,
        }
    }

    /// Adds the outcome of a message: 201 (sent), 202 (sent, no receipt yet), 200 (delivered), or a problem whose
    /// detail names the recipient. If the details so far are too long together, the condition or the status replaces
    /// the detail.
    pub fn add(
        &mut self,
        [id, from, to]: [&str; 3],
        file: Option<UploadedFile>,
        mut outcome: Result<u16, Problem>,
    ) {
        if let Err(problem) = &mut outcome {
            let len = problem.detail.len().min(4 * LONGEST);
            match self.details.checked_sub(len) {
                Some(left) => self.details = left,
                None => {
                    let reason = problem.condition.as_deref();
                    let reason = reason.unwrap_or_else(|| title(problem.status()));
                    problem.detail = format!("{to}: {reason}");
                }
            }
        }
        let status = outcome
            .as_ref()
            .map_or_else(|problem| problem.status(), |status| *status);
        self.status = match self.status {
            None if self.messages == 0 => Some(status),
            Some(same) if same == status => Some(same),
            _ => None,
        };
        self.messages += 1;
        let word = match &outcome {
            Ok(200) => "delivered",
            Ok(_) => "sent",
            Err(_) => "failed",
        };
        if self.json {
            if self.messages > 1 {
                self.outcomes.push(",");
            }
            self.outcomes.push(&json(&Outcome {
                id,
                from,
                to,
                status: word,
                file,
                error: outcome.as_ref().err().map(Details::of),
            }));
        } else {
            self.outcomes.push(&match &outcome {
                Ok(_) => one_line(&format!("{to}: {word}")),
                Err(problem) => one_line(&problem.detail),
            });
            self.outcomes.push("\n");
        }
        if let Err(problem) = outcome {
            match &mut self.problem {
                None => self.problem = Some(problem),
                Some(first) if first.detail.len() < LONGEST => {
                    first.detail.push_str("; ");
                    first.detail.push_str(&problem.detail);
                    if first.condition != problem.condition {
                        first.condition = None;
                    }
                }
                Some(_) => (),
            }
        }
    }

    /// The answer. If `many` is set, it is an array even for one message.
    pub fn finish(self, many: bool, context: AnswerContext) -> LongAnswer {
        let status = self.status.unwrap_or(207);
        let mut body = self.outcomes;
        if let Some(problem) = self.problem.filter(|problem| problem.status() == status) {
            // All messages have failed with the same status.
            let mut answer = refusal(&problem, context);
            if !(many && self.json && answer.body.pop().is_some()) {
                return answer.into();
            }
            answer.body.push_str(",\"outcomes\":[");
            body.push_front(answer.body);
            body.push("]}");
            return LongAnswer {
                status,
                media_type: answer.media_type,
                body,
            };
        }
        if self.json && many {
            body.push_front("[".to_owned());
            body.push("]");
        } else if !self.json && status != 207 {
            // A successful request has an empty answer.
            body = Pieces::default();
        }
        LongAnswer {
            status,
            media_type: match self.json {
                true => "application/json",
                false => "text/plain; charset=utf-8",
            },
            body,
        }
    }
}

#[cfg(test)]
mod tests;
