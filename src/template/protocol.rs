//! The protocols that templates declare: how their programs post, and what they expect.

use std::sync::Arc;

use minijinja::value::Value;
use minijinja::{ErrorKind, State};

use super::declarations::{
    Declarations, ENTER, FILE_NAMES, PAGES, PARAMETERS, PATHS, PROBLEM, TOKEN, TRAITS,
};
use super::engine::{FUEL, Templates};
use super::seen_headers::parent;
use super::source::{BUILT_IN, COMES_WITH_IT, built_in};
use super::{fault, parameter};
use crate::http::answer::title_and_detail;
use crate::http::problem::Problem;

/// The fuel of a block that is rendered alone.
const FUEL_OF_BLOCK: u64 = 5_000;

/// The maximum length of a chain of templates that extend each other.
const MOST_ANCESTORS: usize = 10;

impl Templates {
    /// How the program of a template posts. Empty if there is no such template.
    pub fn declarations(&self, name: &str) -> Arc<Declarations> {
        let index = BUILT_IN.binary_search_by_key(&name, |(name, _)| name);
        match index.ok().filter(|_| !self.is_own(name)) {
            Some(index) => Arc::clone(self.built_in_declarations(index)),
            None => Arc::new(self.declared(name)),
        }
    }

    /// The declarations of a built-in template, by its index. They never change.
    fn built_in_declarations(&self, index: usize) -> &Arc<Declarations> {
        let declared = || self.declared(&format!("{COMES_WITH_IT}{}", BUILT_IN[index].0));
        self.declarations[index].get_or_init(|| Arc::new(declared()))
    }

    fn declared(&self, name: &str) -> Declarations {
        let words_of = |text: &str| text.split_whitespace().map(str::to_owned).collect();
        let words = |block| words_of(&self.text(name, block));
        // A template adds its names to the inherited ones.
        let parameters: Vec<_> = self.blocks(name, PARAMETERS, |_| ()).collect();
        let traits: Vec<String> = words(TRAITS);
        let has = |word: &str| traits.iter().any(|known| known == word);
        let pages = self.text(name, PAGES);
        let pages = pages.lines().filter_map(|line| line.trim().split_once(' '));
        Declarations {
            parameters: words_of(&parameters.join(" ")),
            paths: words(PATHS),
            has_topics: has("topic"),
            takes_text: has("text"),
            file_names: words(FILE_NAMES),
            token: words(TOKEN).pop(),
            pages: pages
                .map(|(path, text)| (path.to_owned(), text.to_owned()))
                .collect(),
            answers_problems: self.blocks(name, PROBLEM, |_| ()).next().is_some(),
        }
    }

    fn built_in(&self) -> impl Iterator<Item = (&'static str, &Arc<Declarations>)> {
        let names = BUILT_IN.iter().enumerate();
        names.map(|(index, (name, _))| (*name, self.built_in_declarations(index)))
    }

    /// The built-in template of a protocol whose programs ask for this path, and the member of the payload that has the token, if any.
    pub fn of_path(&self, path: &str) -> Option<(&'static str, Option<String>)> {
        let mut protocols = self
            .built_in()
            .filter(|(_, declared)| declared.answers_problems);
        let protocol = protocols.find(|(_, declared)| declared.is_path(path));
        protocol.map(|(name, declared)| (name, declared.token.clone()))
    }

    /// The answer to `GET` of a path for which the programs of a protocol ask. With `name`, only this template may have it.
    pub fn page(&self, path: &str, name: Option<&str>) -> Option<String> {
        let protocols = self.built_in();
        let meant = protocols.filter(|(known, _)| name.is_none_or(|name| name == *known));
        let mut pages = meant.flat_map(|(_, declared)| &declared.pages);
        let page = pages.find(|(known, _)| known == path);
        page.map(|(_, answer)| answer.clone())
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

    /// A block alone, in which a function returns a value.
    fn block(&self, name: &str, block: &str, (given, value): (&str, Value)) -> Option<String> {
        self.template(name).ok()?;
        let set = move |state: &mut State| {
            state.set_temp(given, value.clone());
        };
        let text = self.blocks(name, block, set).next()?;
        Some(text.trim().to_owned()).filter(|text| !text.is_empty())
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

    /// The templates that declare something for a template: the template itself, the templates that it extends, and the built-in
    /// templates that these replace.
    ///
    /// # Errors
    /// 503 if one of them is broken.
    fn ancestors(&self, name: &str) -> Result<Vec<String>, Problem> {
        let mut names = vec![name.to_owned()];
        while let Some(name) = names.last().filter(|_| names.len() < MOST_ANCESTORS) {
            let template = self.environment.get_template(name);
            let template = template.map_err(|error| fault::problem(name, &error))?;
            match parent(template.source()) {
                Some(parent) => names.push(parent),
                None => break,
            }
        }
        let replaced = names.iter().filter(|name| self.is_own(name));
        let replaced = replaced.filter(|name| built_in(name).is_some());
        let replaced: Vec<_> = replaced
            .map(|name| format!("{COMES_WITH_IT}{name}"))
            .collect();
        names.extend(replaced);
        Ok(names)
    }

    /// # Errors
    /// 503 if a template is broken, or one that it extends.
    pub fn check_ancestors(&self, name: &str) -> Result<(), Problem> {
        self.template(name)?;
        self.ancestors(name).map(|_| ())
    }

    /// A block alone, of each template that has it: of the template itself first. `prepare` sets the values that its functions return.
    fn blocks<'a>(
        &'a self,
        name: &str,
        block: &'a str,
        prepare: impl Fn(&mut State) + 'a,
    ) -> impl Iterator<Item = String> + 'a {
        let names = self.ancestors(name).unwrap_or_default().into_iter();
        names.filter_map(move |name| {
            let template = self.environment.get_template(&name).ok()?;
            let mut state = template.new_state();
            // Anybody can be refused.
            state.consume_fuel(FUEL - FUEL_OF_BLOCK).ok()?;
            prepare(&mut state);
            match state.render_block(block) {
                Err(error) if error.kind() == ErrorKind::UnknownBlock => None,
                rendered => Some(rendered.unwrap_or_default()),
            }
        })
    }

    /// The text of a declaring block.
    fn text(&self, name: &str, block: &str) -> String {
        self.blocks(name, block, |_| ()).next().unwrap_or_default()
    }
}
