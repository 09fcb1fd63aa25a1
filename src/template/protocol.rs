//! The protocols that templates declare: how their programs post, and what they expect.

use std::sync::Arc;

use minijinja::ErrorKind;
use minijinja::value::Value;

use super::declarations::{
    Declarations, ENTER, FILE_NAMES, PAGES, PARAMETERS, PATHS, PROBLEM, TOKEN, TRAITS,
};
use super::engine::Templates;
use super::source::{BUILT_IN, COMES_WITH_IT, built_in};
use super::{fault, parameter};
use crate::http::answer::title_and_detail;
use crate::http::problem::Problem;

impl Templates {
    /// How the program of a template posts. Empty if there is no such template.
    pub fn declarations(&self, name: &str) -> Arc<Declarations> {
        let index = BUILT_IN.binary_search_by_key(&name, |(name, _)| name);
        match index.ok().filter(|_| !self.is_own(name)) {
            Some(index) => {
                let known = self.declarations[index].get_or_init(|| Arc::new(self.declared(name)));
                Arc::clone(known)
            }
            None => Arc::new(self.declared(name)),
        }
    }

    fn declared(&self, name: &str) -> Declarations {
        let Ok(template) = self.template(name) else {
            return Declarations::default();
        };
        let words = |block| self.words(&template, block).unwrap_or_default();
        let traits = words(TRAITS);
        let has = |word: &str| traits.iter().any(|known| known == word);
        Declarations {
            parameters: words(PARAMETERS),
            paths: words(PATHS),
            has_topics: has("topic"),
            takes_text: has("text"),
            file_names: words(FILE_NAMES),
        }
    }

    /// The built-in template of a protocol whose programs post to this path, and the member of the payload that has the token, if any.
    pub fn of_path(&self, path: &str) -> Option<(&'static str, Option<String>)> {
        let mut protocols = BUILT_IN.iter();
        let has_problem = |source: &str| source.contains("{% block problem %}");
        protocols.find_map(|(name, source)| {
            let template = has_problem(source).then(|| self.template(name).ok())??;
            let paths = self.words(&template, PATHS).ok()?;
            let ends_with = |known: &String| {
                let head = path.strip_suffix(known.as_str());
                head.is_some_and(|head| head.is_empty() || head.ends_with('/'))
            };
            let token = self.words(&template, TOKEN).unwrap_or_default().pop();
            paths.iter().any(ends_with).then_some((*name, token))
        })
    }

    /// The answer to `GET` of a path for which the programs of a protocol ask. With `name`, only this template may have it.
    pub fn page(&self, path: &str, name: Option<&str>) -> Option<String> {
        let mut protocols = BUILT_IN.iter().filter(|(known, source)| {
            name.is_none_or(|name| name == *known) && source.contains("{% block pages %}")
        });
        protocols.find_map(|(name, _)| {
            let name = format!("{COMES_WITH_IT}{name}");
            let template = self.environment.get_template(&name).ok()?;
            let pages = template.new_state().render_block(PAGES).ok()?;
            let mut pages = pages.lines().filter_map(|line| line.trim().split_once(' '));
            let page = pages.find(|(known, _)| *known == path);
            page.map(|(_, answer)| answer.to_owned())
        })
    }

    /// The answer to a problem in the form that the program expects, if its template has one.
    pub fn problem(&self, name: &str, problem: &Problem) -> Option<String> {
        let (title, detail) = title_and_detail(problem);
        let details = Value::from_pairs([
            ("status", Value::from(problem.status())),
            ("title", Value::from(title)),
            ("detail", Value::from(detail)),
        ]);
        self.block(name, PROBLEM, (parameter::PROBLEM, details))
    }

    /// What a user enters in the program of a template: a line for each of its settings. `server`: the URL of this module; `topic`: a
    /// recipient; `None`: the token has only one.
    pub fn enter(&self, name: &str, server: &str, topic: Option<&str>, token: &str) -> String {
        let settings = Value::from_pairs([
            ("server", Value::from(server)),
            ("topic", Value::from(topic)),
            ("token", Value::from(token)),
        ]);
        let entered = self.block(name, ENTER, (parameter::ENTER, settings));
        entered.unwrap_or_else(|| {
            let recipient = topic.map(|topic| format!("/{topic}")).unwrap_or_default();
            format!("URL: {server}{recipient}?token={token}")
        })
    }

    /// A block alone. It has a value that a function returns.
    fn block(&self, name: &str, block: &str, (given, value): (&str, Value)) -> Option<String> {
        let template = self.template(name).ok()?;
        let mut state = template.new_state();
        state.set_temp(given, value);
        Some(state.render_block(block).ok()?.trim().to_owned())
    }

    /// The name of the template in an appended element: for Discord, `/slack` and `/github` after the URL choose
    /// another format.
    pub fn format_of<'a>(
        &self,
        appended: &Declarations,
        elements: &'a [String],
    ) -> Option<&'a String> {
        let mut elements = elements.iter();
        elements.find(|element| appended.paths.contains(element) && self.is_known(element))
    }

    /// The words of a declaring block (`parameters` or `paths`).
    fn words(&self, template: &minijinja::Template, block: &str) -> Result<Vec<String>, Problem> {
        let name = template.name();
        let declared = template.new_state().render_block(block);
        let declared = match declared {
            // An administrator's template that replaces a built-in one is for the same program.
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
}
