//! A template and what it sees → the fields of a message, and the answer that the program expects.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::DerefMut;
use std::sync::{Mutex, PoisonError};

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Value;
use minijinja::{AutoEscape, Environment, Error, ErrorKind, State, UndefinedBehavior};

use super::context::{Call, TEMPLATE, Variables};
use super::source::{BUILT_IN, Folder, built_in, is_name};
use super::{fault, filter};
use crate::http::problem::{Problem, quote};
use crate::message::draft::Draft;
use crate::message::field::{FIELDS, Field, Takes};
use crate::message::text::is_xml;

/// What one template may cost: so many steps, or 64 times as many bytes that it makes.
const FUEL: u64 = 200_000;
/// How deep templates may nest, so that the stack of a thread holds them.
const DEPTH: usize = 100;
/// The template that takes the blocks out of another.
const MESSAGE: &str = "_message";
const ANSWER: &str = "answer";
const SILENT: &str = "_silent";
const PARAMETERS: &str = "parameters";
const PATHS: &str = "paths";

/// The templates that there are.
pub struct Templates {
    environment: Environment<'static>,
    folder: Option<Folder>,
    renderings: Mutex<BTreeMap<String, Renderings>>,
}

/// How often a template was rendered.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Renderings {
    pub rendered: u64,
    /// The template is broken, or what was posted does not fit it.
    pub failed: u64,
}

/// What a template made of a payload.
#[derive(Debug, PartialEq, Eq)]
pub struct Rendered {
    /// Without recipients; every text is one that XML can carry.
    pub draft: Draft,
    /// What it prints for the program that posted, where it says anything to that.
    pub answer: Option<String>,
    /// It says that this event makes no message.
    pub is_silent: bool,
    /// It printed the value of an expression, if only an empty one, where a text of the message stands.
    pub has_tried: bool,
}

/// Whether the value of an expression was printed.
#[derive(Default)]
struct Tried(bool);

/// What a program appends to the URL that it is given, by the blocks of a template.
#[derive(Debug, Default)]
pub struct Appended {
    /// Names of parameters, behind a further `?`.
    pub parameters: Vec<String>,
    /// Last elements of the path.
    paths: Vec<String>,
}

impl Appended {
    /// A recipient without the element that the program appended, which is added to `elements`.
    pub fn cut(&self, recipient: String, elements: &mut Vec<String>) -> Option<String> {
        let (before, last) = recipient.rsplit_once('/').unwrap_or(("", &recipient));
        if !self.paths.iter().any(|known| known == last) {
            return Some(recipient);
        }
        elements.push(last.to_owned());
        let before = before.trim_end_matches('/');
        (!before.is_empty()).then(|| before.to_owned())
    }
}

impl Templates {
    /// Those that come with the module, and the administrator's own in a folder, which go first.
    pub fn new(folder: Option<Folder>) -> Templates {
        let mut environment = Environment::new();
        // A member that is missing or of another type is left out.
        environment.set_undefined_behavior(UndefinedBehavior::Chainable);
        environment.set_auto_escape_callback(|_| AutoEscape::None);
        environment.set_fuel(Some(FUEL));
        environment.set_recursion_limit(DEPTH);
        // For the columns of what is wrong.
        environment.set_debug(true);
        environment.set_formatter(|out, state, value| {
            state.get_or_insert_extension(Tried::default()).0 = true;
            let nothing = Value::from("");
            let value = if value.is_none() { &nothing } else { value };
            minijinja::escape_formatter(out, state, value)
        });
        environment.set_syntax(
            SyntaxConfig::builder()
                .trim_blocks(true)
                .lstrip_blocks(true)
                .build()
                .unwrap_or_default(),
        );
        environment.add_function("_tried", tried);
        environment.add_function("_keep", keep);
        environment.add_function("fail", fail);
        environment.add_function("silent", silent);
        filter::add_to(&mut environment);
        let files = folder.clone();
        let message = message();
        environment.set_loader(move |name| {
            if name == MESSAGE {
                return Ok(Some(message.as_str().into()));
            }
            match &files {
                Some(folder) => folder.load(name),
                None => Ok(built_in(name).map(Into::into)),
            }
        });
        Templates {
            environment,
            folder,
            renderings: Mutex::default(),
        }
    }

    /// Whether a template is the administrator's own, of which nobody knows how long it takes.
    pub fn is_own(&self, name: &str) -> bool {
        let file = self.folder.as_ref().and_then(|folder| folder.file(name));
        file.is_some_and(|file| file.exists())
    }

    /// Whether a template that tries to print nothing has decided so: the administrator's own, but not an unchanged copy
    /// of one that comes with the module.
    pub fn decides(&self, name: &str) -> bool {
        self.is_own(name) && self.source(name).ok().as_deref() != built_in(name)
    }

    fn is_known(&self, name: &str) -> bool {
        is_name(name) && (built_in(name).is_some() || self.is_own(name))
    }

    /// The name of each template, and whether it is the administrator's own.
    pub fn list(&self) -> Vec<(String, bool)> {
        let own = self.folder.as_ref().map(Folder::names).unwrap_or_default();
        let built_in = BUILT_IN.iter().map(|(name, _)| (*name).to_owned());
        let built_in = built_in.filter(|name| !own.contains(name));
        let mut all: Vec<_> = built_in.map(|name| (name, false)).collect();
        all.extend(own.iter().map(|name| (name.clone(), true)));
        all.sort();
        all
    }

    /// What is wrong with those that are broken.
    pub fn faults(&self) -> Vec<(String, Problem)> {
        let names = self.list().into_iter().map(|(name, _)| name);
        let faults = names.filter_map(|name| self.template(&name).err().map(|fault| (name, fault)));
        faults.collect()
    }

    /// The source of a template.
    ///
    /// # Errors
    /// 422 where there is none of this name, 503 where it is broken.
    pub fn source(&self, name: &str) -> Result<String, Problem> {
        Ok(self.template(name)?.source().to_owned())
    }

    /// # Errors
    /// 422 where there is no template of this name, 503 where it is broken.
    fn template(&self, name: &str) -> Result<minijinja::Template<'_, '_>, Problem> {
        if !self.is_known(name) {
            let names: Vec<_> = self.list().into_iter().map(|(name, _)| name).collect();
            return Err(Problem::meaning(format!(
                "there is no template {}; these are: {}",
                quote(name),
                names.join(", ")
            ))
            .field("as"));
        }
        let template = self.environment.get_template(name);
        template.map_err(|error| fault::problem(name, &error))
    }

    /// Makes a message of what was posted.
    ///
    /// # Errors
    /// 400 for a parameter of the query that the template does not know; 422 for a payload that does not
    /// fit, and where there is no template of this name; 503 where it is broken.
    pub fn render(&self, name: &str, call: Call) -> Result<Rendered, Problem> {
        let rendered = self.render_uncounted(name, call);
        if rendered.is_ok() || self.is_known(name) {
            let mut renderings = self.renderings();
            let count = renderings.entry(name.to_owned()).or_default();
            match rendered {
                Ok(_) => count.rendered += 1,
                Err(_) => count.failed += 1,
            }
        }
        rendered
    }

    /// Counts the last rendering of a template as failed: nothing of the payload could be shown.
    pub fn count_as_failed(&self, name: &str) {
        let mut renderings = self.renderings();
        let count = renderings.entry(name.to_owned()).or_default();
        count.rendered = count.rendered.saturating_sub(1);
        count.failed += 1;
    }

    /// How often each template was rendered since this was asked last.
    pub fn take_renderings(&self) -> BTreeMap<String, Renderings> {
        std::mem::take(&mut self.renderings())
    }

    fn renderings(&self) -> impl DerefMut<Target = BTreeMap<String, Renderings>> {
        let renderings = self.renderings.lock();
        renderings.unwrap_or_else(PoisonError::into_inner)
    }

    fn render_uncounted(&self, name: &str, call: Call) -> Result<Rendered, Problem> {
        let template = self.template(name)?;
        if !call.query.is_empty() {
            self.check(&template, &call)?;
        }
        drop(template);
        let fault = |error: Error| fault::problem(name, &error);
        let message = self.environment.get_template(MESSAGE).map_err(fault)?;
        let rendered = message.render_captured(Value::from_object(Variables::of(name, call)));
        let rendered = rendered.map_err(fault)?;
        let state = rendered.state();
        let mut draft = Draft::default();
        for row in FIELDS {
            draft.values[row.field] = state.get_temp(row.name).as_ref().and_then(legal);
        }
        draft.values[Field::Body] = legal(&Value::from(rendered.output()));
        let answer = state.get_temp(ANSWER);
        let answer = answer.map(|text| text.as_str().unwrap_or_default().trim().to_owned());
        let is_silent = state.get_temp(SILENT).is_some();
        let has_tried = tried(state);
        Ok(Rendered {
            draft,
            answer,
            is_silent,
            has_tried,
        })
    }

    /// What the program of a template appends to its URL; nothing where there is no such template.
    pub fn appended(&self, name: &str) -> Appended {
        let template = self.template(name);
        let words = |block| {
            let words = template
                .as_ref()
                .ok()
                .and_then(|template| self.words(template, block).ok());
            words.unwrap_or_default()
        };
        Appended {
            parameters: words(PARAMETERS),
            paths: words(PATHS),
        }
    }

    /// The format that an appended element names: Discord takes Slack's and GitHub's payloads below its URL.
    pub fn format_of<'a>(&self, appended: &Appended, elements: &'a [String]) -> Option<&'a String> {
        let mut elements = elements.iter();
        elements.find(|element| appended.paths.contains(element) && self.is_known(element))
    }

    /// The words of a block that declares something.
    fn words(&self, template: &minijinja::Template, block: &str) -> Result<Vec<String>, Problem> {
        let name = template.name();
        let declared = template.new_state().render_block(block);
        let declared = match declared {
            // An own template takes the place of one that comes with the module, for the same program.
            Err(error) if error.kind() == ErrorKind::UnknownBlock => match built_in(name) {
                Some(source) if self.is_own(name) => self
                    .environment
                    .template_from_str(source)
                    .and_then(|template| template.new_state().render_block(block))
                    .unwrap_or_default(),
                _ => String::new(),
            },
            declared => declared.map_err(|error| fault::problem(name, &error))?,
        };
        Ok(declared.split_whitespace().map(str::to_owned).collect())
    }

    /// Only parameters that a program itself adds are known.
    fn check(&self, template: &minijinja::Template, call: &Call) -> Result<(), Problem> {
        let declared = self.words(template, PARAMETERS)?;
        let unknown = call
            .query
            .iter()
            .find(|(parameter, _)| !declared.contains(parameter));
        match unknown {
            None => Ok(()),
            Some((parameter, _)) => Err(Problem::syntax(format!(
                "the query has a parameter {}, which is not known here; these are: as, to, token",
                quote(parameter)
            ))),
        }
    }
}

/// A template that extends the one that is asked for: each block that is named as a field is kept, and
/// not printed where it stands.
fn message() -> String {
    let fields = FIELDS
        .iter()
        .filter(|row| !matches!(row.field, Field::To | Field::Body));
    let blocks = fields.map(|field| {
        let escape = match field.takes {
            Takes::Xhtml => "html",
            _ => "none",
        };
        (field.name, escape)
    });
    let blocks = blocks.chain([(ANSWER, "none"), (PARAMETERS, "none"), (PATHS, "none")]);
    let blocks: String = blocks
        .map(|(name, escape)| {
            format!(
                "{{% block {name} %}}{{% autoescape '{escape}' %}}{{% set _kept = _keep('{name}', _tried(), super()) %}}\
                 {{% endautoescape %}}{{% endblock %}}"
            )
        })
        .collect();
    format!("{{% extends {TEMPLATE} %}}{blocks}")
}

/// `_tried()`: whether the value of an expression was printed up to here.
fn tried(state: &State) -> bool {
    state.get_extension().is_some_and(|Tried(tried)| *tried)
}

/// `_keep(name, tried, value)`: keeps what a block printed. `tried` is what held before the block, and holds behind one that
/// is no text of the message.
fn keep(state: &mut State, name: &str, tried: bool, value: Value) {
    let is_text = Field::named(name).is_some_and(|field| field.row().suffices);
    if !is_text {
        state.get_or_insert_extension(Tried::default()).0 = tried;
    }
    state.set_temp(name, value);
}

/// `silent()`: this event makes no message, and the program is answered that all is well.
fn silent(state: &mut State) -> Value {
    state.set_temp(SILENT, Value::from(true));
    Value::from("")
}

/// `fail(text)`: the payload is not what the template is for.
fn fail(text: Cow<'_, str>) -> Result<Value, Error> {
    Err(Error::new(ErrorKind::InvalidOperation, text.into_owned()))
}

/// Text that XML can carry, trimmed; `None` where nothing is left. No sender of a webhook can correct a control
/// character, so it is replaced.
fn legal(value: &Value) -> Option<String> {
    let text = value.as_str()?.trim();
    let legal = |c| if is_xml(c) { c } else { '\u{FFFD}' };
    (!text.is_empty()).then(|| text.chars().map(legal).collect())
}
