// The page at GET /msg. It talks to its own server only, and keeps the credentials in memory only.

// Texts are English, with the German text beside them: here as the second argument of `t`, in page.html as `data-de`.

const lang = /^de\b/i.test(navigator.language) ? "de" : "en";

// The text in the reader's language, with {0}, {1}, … filled in.
const t = (english, german, ...values) => (lang === "de" ? german : english).replace(/\{(\d)\}/g, (_, number) => values[number]);

const time = (rfc3339) => new Date(rfc3339).toLocaleString(lang, { dateStyle: "medium", timeStyle: "short" });

// What other programs post, to begin with. [payload, header that names the event, event]

const issue = (site) => ({
	action: "opened", repository: { full_name: "team/shop", html_url: site + "team/shop" }, sender: { login: "example" },
	issue: { number: 1, title: "The cart is empty", html_url: site + "team/shop/issues/1" },
});

const examples = {
	alertmanager: [{
		status: "firing", commonLabels: { alertname: "DiskFull", severity: "warning" },
		alerts: [{
			status: "firing", labels: { alertname: "DiskFull", instance: "db1.example.com:9100", severity: "warning" },
			annotations: { summary: "/srv of db1 is almost full", runbook_url: "https://runbooks.example.com/disk" },
			startsAt: "2026-11-22T05:14:23Z", generatorURL: "http://prometheus.example.com:9090/graph",
		}],
	}],
	apprise: [{ title: "Backup", body: "db1 is saved", type: "success" }],
	discord: [{ content: "Build **42** has failed", embeds: [{ title: "The log", url: "https://ci.example.com/42" }] }],
	gitea: [issue("https://git.example.com/"), "X-Gitea-Event", "issues"],
	github: [issue("https://github.example.com/"), "X-GitHub-Event", "issues"],
	gitlab: [{
		object_kind: "pipeline", user: { username: "example" }, project: { path_with_namespace: "team/shop" },
		object_attributes: { id: 31, ref: "main", status: "failed", duration: 63, url: "https://gitlab.example.com/team/shop/-/pipelines/31" },
		builds: [{ stage: "test", name: "unit tests", status: "failed" }],
	}, "X-Gitlab-Event", "Pipeline Hook"],
	gotify: [{ title: "Backup", message: "All is well.", priority: 5 }],
	grafana: [{
		status: "firing", commonLabels: { alertname: "High load" },
		alerts: [{
			status: "firing", labels: { alertname: "High load", host: "web1" }, annotations: { summary: "The load of web1 is high" },
			startsAt: "2026-11-22T05:14:23Z", values: { B: 44.2 }, panelURL: "https://grafana.example.com/d/abc?viewPanel=2",
		}],
	}],
	healthchecks: [{ name: "Backup of db1", status: "down", tags: "prod db1", url: "https://checks.example.com/803f680d/" }],
	json: [{ title: "Disks", message: "db1 is almost full", status: "warning" }],
	ntfy: [{ topic: "disks", title: "Low disk space", message: "5.1 GB are left", tags: ["warning"], priority: 4, click: "https://example.com/disks" }],
	pushover: [{ user: "me", title: "Backup", message: "All is well." }],
	slack: [{ text: "Build *42* has failed: <https://ci.example.com/42|the log>" }],
	"uptime-kuma": [{
		heartbeat: { status: 0, time: "2026-11-22 05:14:23", msg: "Request failed with status code 503" },
		monitor: { name: "Shop", url: "https://shop.example.com/" },
	}],
};

// What a program asks for that asks for more than a URL. If the token has a single recipient, there is no /TOPIC, and TOPIC is any name.
const settings = {
	gotify: "Server: SERVER/TOPIC\nToken: TOKEN",
	ntfy: "Server: SERVER\nTopic: TOPIC\nToken: TOKEN",
	pushover: "URL: SERVER/TOPIC/1/messages.json\nToken: TOKEN\nUser: any name",
};

// Small helpers

const $ = (id) => document.getElementById(id);

// An element. All data comes in as text, never as markup.
function make(name, properties, ...children) {
	const element = Object.assign(document.createElement(name), properties);
	element.append(...children);
	return element;
}

// Of a list that was typed: its items.
const split = (text) => text.split(",").map((item) => item.trim()).filter(Boolean);

// A sentence of the server, which is English.
const of_server = (text) => make("span", { lang: "en" }, text[0].toUpperCase() + text.slice(1) + (/[.!?]$/.test(text) ? "" : "."));

let copies = 0;

// A text to copy, with its name and a button above it.
function to_copy(name, text, hint = "") {
	text.id ||= "copy-" + ++copies;
	const title = make("h3", { id: text.id + "-name" }, name);
	const done = make("span", { className: "quiet" });
	done.setAttribute("role", "status");
	const button = make("button", { type: "button", className: "small" }, t("Copy", "Kopieren"));
	button.addEventListener("click", async () => {
		// Without HTTPS there is no clipboard API; copying a selection works there.
		try {
			await navigator.clipboard.writeText(text.textContent);
		} catch {
			getSelection().selectAllChildren(text);
			if (!document.execCommand("copy")) return done.textContent = t("Selected; copy it with the keyboard.", "Markiert; kopieren Sie mit der Tastatur.");
		}
		done.textContent = t("Copied.", "Kopiert.");
	});
	button.setAttribute("aria-describedby", title.id);
	return make("div", { className: "copy" }, title, done, button, text, hint);
}

// Requests

const base = new URL(".", import.meta.url).pathname.slice(0, -1);
const url = (path) => base + (path && !path.startsWith("?") ? "/" : "") + path;
const full = (path) => location.origin + url(path);
const server = full("").replace(/\/$/, "");
const nobody = t("RECIPIENT", "ADRESSE"); // where the recipient is not known
let account = null; // { authorization, curl (how curl signs in), bearer (whether a token does) }

// > { status, title, detail, … } of the problem, or the answer in `data`. Status 0: there was none.
async function post(path, body, headers, authorization = account.authorization) {
	try {
		const response = await fetch(url(path), {
			method: "POST", body, credentials: "omit", redirect: "error",
			headers: { "Accept": "application/json", ...headers, "Authorization": authorization },
		});
		const text = await response.text();
		let data = null;
		try { data = JSON.parse(text); } catch { /* the answer of a format need not be JSON */ }
		// Gotify, ntfy and Pushover have names of their own for the detail.
		const problem = !response.ok && { detail: data ? data.errorDescription ?? data.error ?? data.errors?.[0] : text, ...data };
		return { ...problem, status: response.status, ok: response.ok, data, retry: response.headers.get("Retry-After") ?? undefined };
	} catch {
		return { status: 0 };
	}
}

const tokens = (request) => post("@tokens", JSON.stringify(request), { "Content-Type": "application/json" });

// The path of recipients, with a query. A single recipient is in the path, others are in the query, as in a dry run.
function path_to(recipients, query, dry) {
	const one = recipients.length === 1 && !dry;
	const all = String(new URLSearchParams([...(one ? [] : recipients.map((each) => ["to", each])), ...Object.entries(query || {})]));
	return (dry ? "@try" : one ? encodeURIComponent(recipients[0]).replace(/%40/g, "@").replace(/%2F/g, "/") : "") + (all && "?" + all);
}

const curl_of = (path, ...options) => [`curl ${quote(full(path))}`, ...options].join(" \\\n    ");

// The request that a form describes: { path, body, headers, curl }
function request_of(form, dry) {
	const { to, as, event, body, subject, type, file } = form.elements;
	const path = path_to(split(to.value), as && { as: as.value }, dry);
	const headers = {}, curl = [];
	const fields = [["subject", subject], ["body", body], ["type", type]].filter(([, field]) => field?.value).map(([name, field]) => [name, field.value]);
	let content;
	if (as) {
		headers["Content-Type"] = "application/json";
		if (event.value) headers[event.dataset.header] = event.value;
		content = body.value;
	} else if (file.files.length) {
		content = new FormData();
		for (const [name, value] of fields) content.append(name, value);
		for (const each of file.files) content.append("file", each);
		curl.push(...fields.map(([name, value]) => `--form-string ${quote(`${name}=${value}`)}`));
		// In a quoted name, curl needs a backslash before quotes and backslashes.
		curl.push(...Array.from(file.files, ({ name }) => `-F ${quote(`file=@"${name.replace(/["\\]/g, "\\$&")}"`)}`));
	} else if (fields.length === 1 && fields[0][0] === "body") {
		headers["Content-Type"] = "text/plain; charset=utf-8";
		content = body.value;
	} else {
		content = new URLSearchParams(fields);
		curl.push(...fields.map(([name, value]) => `--data-urlencode ${quote(`${name}=${value}`)}`));
		if (!fields.length) curl.push("-d ''");
	}
	for (const [name, value] of Object.entries(headers)) curl.push(`-H ${quote(`${name}: ${value}`)}`);
	if (typeof content === "string") curl.push(`--data-raw ${quote(content)}`);
	return { path, body: content, headers, curl: curl_of(path, account.curl, ...curl) };
}

// A word of the shell.
const quote = (text) => `'${text.replace(/'/g, "'\\''")}'`;

// Fields and their errors

for (const control of document.querySelectorAll("input, select, textarea")) {
	const error = make("strong", { id: control.id + "-error", className: "error" });
	control.parentNode.append(error);
	control.setAttribute("aria-describedby", [control.getAttribute("aria-describedby"), error.id].filter(Boolean).join(" "));
}

function set_error(control, ...text) {
	$(control.id + "-error").replaceChildren(...text);
	if (text.length) control.setAttribute("aria-invalid", "true"); else control.removeAttribute("aria-invalid");
}

// Says in the field what is wrong with it, and goes there.
function point_at(control, ...text) {
	set_error(control, ...text);
	control.closest("details")?.setAttribute("open", "");
	control.focus();
}

// Calls `work` with the form and the value of the button when the form is submitted and complete; not again before that has ended.
function on_submit(form, work) {
	let busy = false;
	form.addEventListener("submit", async (event) => {
		event.preventDefault();
		if (busy) return;
		for (const control of form.elements) if (control.name) set_error(control);
		const empty = Array.from(form.elements).find((control) => control.required && !control.value.trim());
		if (empty) return point_at(empty, t("This is needed.", "Das ist nötig."));
		busy = true;
		form.setAttribute("aria-busy", "true");
		try { await work(form, event.submitter?.value); } finally {
			busy = false;
			form.removeAttribute("aria-busy");
		}
	});
}

// Answers

// What is wrong, if the server has not said it in a sentence, and what to do.
function advice({ status, retry = 60 }) {
	const wait = t("Try again in {0} seconds.", "Versuchen Sie es in {0} Sekunden noch einmal.", retry);
	const gone = t("The address does not exist, or takes no messages now. Check how it is written.",
		"Die Adresse gibt es nicht, oder sie nimmt gerade keine Nachrichten an. Prüfen Sie, wie sie geschrieben ist.");
	return {
		0: t("The server did not answer. It may have done what you asked for.", "Der Server hat nicht geantwortet. Vielleicht hat er trotzdem getan, was er sollte."),
		401: t("Sign in again.", "Melden Sie sich neu an."),
		403: t("This account or token may not do that. Ask the administrator or the recipient.",
			"Dieses Konto oder Token darf das nicht. Fragen Sie beim Administrator oder beim Empfänger nach."),
		404: gone,
		409: t("Somebody else in the room has this nickname. Try again later.",
			"Jemand anders im Raum hat diesen Spitznamen. Versuchen Sie es später noch einmal."),
		410: gone,
		429: wait,
		500: t("This is a defect. Tell the administrator the number of the request.",
			"Das ist ein Fehler im Programm. Nennen Sie dem Administrator die Nummer der Anfrage."),
		503: wait,
	}[status] ?? (status < 500 ? t("Correct this, and try again.", "Berichtigen Sie das, und versuchen Sie es noch einmal.")
		: t("Another server cannot be reached. Check the domain, or try again later.",
			"Ein anderer Server ist nicht erreichbar. Prüfen Sie die Domain, oder versuchen Sie es später noch einmal."));
}

// `kind`: good, warn, bad, or nothing
const box = (kind, title, ...children) => make("div", { className: "answer " + kind }, make("p", {}, make("strong", {}, title)), ...children);

const facts = (...words) => make("p", { className: "quiet" }, words.filter(Boolean).join(" · "));

// A bounce says only its condition, which `advice` explains. > the condition, with the text of the other server
const condition_of = ({ condition, detail = "" }) => condition && condition + (/ \(.*\)$/s.exec(detail)?.[0] ?? "");

// > an element that says once what is wrong: at its field if the form has it, otherwise in the element
function failure(result, title = t("That did not work.", "Das ging nicht."), form) {
	const { status, detail, condition, field, outcomes, request_id } = result;
	if (!status) return box("warn", advice(result));
	const control = form && field && form.elements[field];
	if (control) point_at(control, of_server(detail));
	const text = control ? [make("p", {}, t("Correct the field “{0}”.", "Berichtigen Sie das Feld „{0}“.", control.labels[0].textContent.trim()))]
		: outcomes ? [outcome_list(outcomes)]
		: [detail && !condition ? of_server(detail) : "", make("p", {}, advice(result))];
	return box("bad", title, ...text, facts(status, !outcomes && condition_of(result), request_id && t("Request {0}", "Anfrage {0}", request_id)));
}

function outcome_list(outcomes) {
	return make("ul", {}, ...outcomes.map(({ to, status, error }) => status === "failed"
		? make("li", { className: "bad" }, t("{0}: not sent. {1}", "{0}: nicht gesendet. {1}", to, advice(error)), " ", facts(error.status, condition_of(error)))
		: make("li", { className: "good" }, t("{0}: sent", "{0}: gesendet", to))));
}

const not_sent = () => t("Not sent.", "Nicht gesendet.");

function success({ data }) {
	if (!Array.isArray(data)) {
		return box("good", data?.to ? t("Sent to {0}.", "Gesendet an {0}.", data.to) : t("Sent.", "Gesendet."));
	}
	const sent = data.filter((each) => each.status !== "failed").length;
	return box(!sent ? "bad" : sent < data.length ? "warn" : "good",
		sent ? t("Sent to {0} of {1}.", "Gesendet an {0} von {1}.", sent, data.length) : not_sent(), outcome_list(data));
}

// What a dry run shows: each message as it would arrive.
function preview({ data: { messages } }) {
	if (!messages.length) return box("", t("This event makes no message.", "Dieses Ereignis ergibt keine Nachricht."));
	return box("", t("Nothing was sent. This would arrive:", "Es wurde nichts gesendet. Das käme an:"), ...messages.flatMap(({ to, stanza }) => {
		const xml = new DOMParser().parseFromString(stanza, "text/xml").documentElement;
		const text = ["subject", "body"].map((name) => Array.from(xml.children).find((child) => child.localName === name)?.textContent)
			.filter(Boolean).join("\n\n");
		return [make("p", {}, t("To {0}", "An {0}", to)), make("pre", { className: "text" }, text || t("No text", "Kein Text")),
			make("details", {}, make("summary", {}, t("The whole stanza", "Die ganze Stanza")), make("pre", {}, stanza))];
	}));
}

const same_with_curl = () => t("The same with curl", "Dasselbe mit curl");

// A form that sends: its answer and its curl line stand beside it.
function set_up_sending(section) {
	const form = section.querySelector("form");
	const answer = make("div", { className: "result" });
	answer.setAttribute("role", "status");
	const curl = make("pre", { id: section.id + "-curl" });
	const hint = make("p", { className: "quiet" });
	const results = section.querySelector(".results");
	results.prepend(answer);
	results.append(to_copy(same_with_curl(), curl, hint));

	function show_curl() {
		if (!account) return;
		curl.textContent = request_of(form).curl;
		hint.textContent = account.bearer ? token_hint("$TOKEN") : t("curl asks for the password.", "curl fragt nach dem Passwort.");
	}
	for (const [target, event] of [[form, "input"], [form, "change"], [section, "shown"]]) target.addEventListener(event, show_curl);

	on_submit(form, async (_, button) => {
		const dry = button === "try";
		answer.replaceChildren(t("Working…", "Einen Moment …"));
		const { path, body, headers } = request_of(form, dry);
		const result = await post(path, body, headers);
		if (!account) return;
		answer.replaceChildren(!result.ok ? failure(result, not_sent(), form) : dry ? preview(result) : success(result));
	});
}

// What to enter in a program

const token_hint = (name) => t("{0} stands for a sending token.", "{0} steht für ein Sende-Token.", name);

// > for each line of `text`, such as "URL: https://example.com", its value to copy
function entries(text, token) {
	return text.split("\n").map((line) => {
		const [, name = "", value] = /^(?:([^:]*): )?(.*)$/.exec(line);
		return value === "any name" ? make("div", { className: "copy" }, make("h3", {}, name), make("p", {}, t("any name", "beliebiger Name")))
			: to_copy(name, make("pre", value === token ? { id: "token" } : {}, value));
	});
}

// > a line for each setting. TOKEN stands for the token.
function settings_of(as, recipients) {
	const one = recipients.length === 1 && recipients[0].includes("@");
	return settings[as]?.replace("SERVER", server).replace("/TOPIC", one ? "" : "/" + nobody).replace("TOPIC", one ? "any name" : nobody)
		?? "URL: " + full(path_to(recipients.length ? recipients : [nobody], { as, token: "TOKEN" }));
}

// > the curl line that posts the example of a format, or a text, with a token
function example_curl(as, recipients, authorization) {
	const [payload, header, event] = examples[as] ?? [];
	return curl_of(path_to(recipients, as && { as }), `-H ${authorization}`, ...(header ? [`-H '${header}: ${event}'`] : []),
		...(payload ? ["-H 'Content-Type: application/json'"] : []), `--data-raw ${quote(payload ? JSON.stringify(payload) : t("Hello", "Hallo"))}`);
}

// Tokens

// > [where the messages of a token go that may send to these]
function recipients_of(to) {
	const list = split(to);
	return list.length === 1 && to.includes("@") ? list : [nobody];
}

// What to enter, before the token is made.
function show_settings() {
	const as = $("token-as").value, recipients = recipients_of($("token-to").value);
	$("token-settings").replaceChildren(as && box("", t("Enter in the program", "Im Programm einzutragen"), ...entries(settings_of(as, recipients)),
		to_copy(same_with_curl(), make("pre", {}, example_curl(as, recipients, '"Authorization: Bearer $TOKEN"'))), make("p", { className: "quiet" }, token_hint("TOKEN"))));
}
$("token-as").addEventListener("change", show_settings);
$("token-to").addEventListener("input", show_settings);

async function list_tokens() {
	$("token-list").replaceChildren();
	$("token-answer").replaceChildren(t("Loading…", "Wird geladen …"));
	const result = await tokens({ action: "list" });
	if (!account) return;
	if (!result.ok) return $("token-answer").replaceChildren(failure(result));
	const found = result.data.tokens.sort((one, other) => (other.made ?? "").localeCompare(one.made ?? ""));
	$("token-answer").replaceChildren(found.length ? "" : t("You have no sending tokens.", "Sie haben keine Sende-Token."));
	$("token-list").replaceChildren(...found.map((token) => {
		const name = token.label || token.id;
		const limits = [
			token.to?.length && t("only to {0}", "nur an {0}", token.to.join(", ")), token.as && t("only {0}", "nur {0}", token.as),
			token.get && t("by GET too", "auch per GET"), token.replies && t("with replies", "mit Antworten"), token.nick && t("as {0}", "als {0}", token.nick),
			token.rate && t("{0} a minute", "{0} in der Minute", token.rate), token.expires && t("until {0}", "bis {0}", time(token.expires)),
		].filter(Boolean);
		const times = [token.made && t("made {0}", "erstellt {0}", time(token.made)),
			token.used ? t("used {0}", "benutzt {0}", time(token.used)) : t("never used", "nie benutzt")].filter(Boolean);
		const revoke = make("button", { type: "button", className: "small" }, t("Revoke", "Widerrufen"));
		revoke.setAttribute("aria-label", t("Revoke {0}", "{0} widerrufen", name));
		revoke.addEventListener("click", () => confirm(t("Revoke {0}? Programs that use it can no longer send.",
			"{0} widerrufen? Programme, die es benutzen, können nichts mehr senden.", name)) && revoke_token(token.id));
		return make("li", {}, make("div", {}, make("strong", {}, name),
			...[limits.join(" · ") || t("not limited", "unbeschränkt"), times.join(" · "), token.label && token.id].filter(Boolean).map((text) => make("p", { className: "quiet" }, text))), revoke);
	}));
}

async function revoke_token(id) {
	const result = await tokens({ action: "revoke", id });
	if (!account) return;
	if (result.ok) await list_tokens();
	$("token-answer").replaceChildren(result.ok ? t("The token is revoked.", "Das Token ist widerrufen.") : failure(result));
	// The button that was pressed is gone.
	$("tokens-title").focus();
}

on_submit($("tokens").querySelector("form"), async (form) => {
	// What is empty is left out.
	const { to = "", as, get, ...others } = Object.fromEntries(Array.from(new FormData(form), ([name, value]) => [name, value.trim()]).filter(([, value]) => value));
	const result = await tokens({ action: "add", ...others, as, get, to: split(to) });
	if (!account) return;
	if (!result.ok) return $("token-settings").replaceChildren(failure(result, t("No token was made.", "Es wurde kein Token erstellt."), form));
	form.reset();
	show_settings();
	const { token, enter } = result.data;
	const recipients = recipients_of(to);
	const text = enter?.replaceAll("{server}", server).replaceAll("{recipient}", nobody)
		?? "URL: " + full(path_to(recipients, { token, ...(get && { body: t("Hello", "Hallo") }) }));
	const title = make("strong", { tabIndex: -1 }, t("Your new token", "Ihr neues Token"));
	$("new-token").replaceChildren(box("good", title,
		make("p", {}, t("Enter this in the program. It is shown once: whoever has the token can send in your name.",
			"Tragen Sie das im Programm ein. Es wird nur jetzt angezeigt: Wer das Token hat, kann in Ihrem Namen senden.")),
		make("div", { id: "token-enter" }, ...entries(text.includes("Token: ") ? text : `Token: ${token}\n${text}`, token)),
		to_copy(same_with_curl(), make("pre", { id: "token-curl" }, example_curl(as, recipients, quote("Authorization: Bearer " + token))))));
	title.focus();
	await list_tokens();
});

// Formats

for (const name of Object.keys(examples)) for (const id of ["format-as", "token-as"]) $(id).append(make("option", {}, name));

function show_entries() {
	const { as, to } = $("formats").querySelector("form").elements;
	const make_token = make("button", { type: "button", className: "small" }, t("Make this token", "Dieses Token erstellen"));
	make_token.addEventListener("click", () => {
		$("token-as").value = as.value;
		$("token-to").value = to.value;
		show_settings();
		location.hash = "tokens";
	});
	$("format-enter").replaceChildren(box("", t("Enter in the program", "Im Programm einzutragen"), ...entries(settings_of(as.value, split(to.value))),
		make("p", { className: "quiet" }, token_hint("TOKEN")), account && !account.bearer ? make("p", {}, make_token) : ""));
}

function show_example() {
	const [payload, header, event] = examples[$("format-as").value];
	$("format-body").value = JSON.stringify(payload, null, 2);
	$("format-event").value = event ?? "";
	$("format-event").dataset.header = header ?? "";
	$("format-event").parentNode.hidden = !header;
	$("format-event").labels[0].textContent = t("Event ({0})", "Ereignis ({0})", header ?? "");
	document.querySelector("#formats .result").replaceChildren();
	show_entries();
}
$("format-as").addEventListener("change", show_example);
$("format-to").addEventListener("input", show_entries);
$("formats").addEventListener("shown", show_entries);
// Once the form is reset.
$("formats").querySelector("form").addEventListener("reset", () => setTimeout(show_example));

// Places: what is shown, by the # in the address

const places = ["send", "formats", "tokens"];

function show_place() {
	const place = !account ? "sign-in" : places.find((name) => "#" + name === location.hash) ?? "send";
	for (const name of ["sign-in", ...places]) $(name).hidden = name !== place;
	for (const link of document.querySelectorAll("nav a")) {
		if (link.hash === "#" + place) link.setAttribute("aria-current", "page"); else link.removeAttribute("aria-current");
	}
	$("places").hidden = $("account").hidden = !account;
	$(place).dispatchEvent(new Event("shown"));
	scrollTo(0, 0);
	return place;
}

addEventListener("hashchange", () => $(show_place() + "-title").focus());
$("tokens").addEventListener("shown", () => {
	$("tokens-refused").hidden = !account.bearer;
	$("tokens-allowed").hidden = account.bearer;
	if (!account.bearer) list_tokens();
});

// Signing in and out

const base64 = (text) => btoa(String.fromCharCode(...new TextEncoder().encode(text)));

on_submit($("sign-in").querySelector("form"), async (form) => {
	const address = $("address").value.trim(), secret = $("secret").value.trim();
	const sending = secret.startsWith("pmsg_");
	const bearer = sending || !address;
	const authorization = bearer ? "Bearer " + secret : "Basic " + base64(`${address}:${$("secret").value}`);
	const result = await post(path_to([$("host").textContent], {}, true), "?", { "Content-Type": "text/plain" }, authorization);
	if (result.status === 401) {
		return point_at($("secret"), bearer ? t("The token is wrong, revoked or expired.", "Das Token ist falsch, widerrufen oder abgelaufen.")
			: t("The address or the password is wrong.", "Die Adresse oder das Passwort ist falsch."));
	}
	// A sending token that may not send this is right all the same.
	if ([0, 429].includes(result.status) || result.status >= 500 || result.status === 403 && !sending) {
		return point_at($("secret"), result.detail ? of_server(result.detail) : "", " ", advice(result));
	}
	account = {
		authorization, bearer, curl: bearer ? '-H "Authorization: Bearer $TOKEN"' : `-u ${quote(address)}`,
	};
	form.reset();
	$("who").textContent = bearer ? t("With a token", "Mit einem Token") : address;
	if (!bearer) $("format-to").value = address.split("/")[0];
	const place = show_place();
	(place === "send" ? $("send-to") : $(place + "-title")).focus();
});

function sign_out() {
	account = null;
	for (const form of document.forms) {
		form.reset();
		for (const control of form.elements) if (control.name) set_error(control);
	}
	for (const element of document.querySelectorAll("#new-token, #token-settings, #token-list, [role=status], pre")) element.replaceChildren();
	for (const details of document.querySelectorAll("details")) details.open = false;
	show_place();
	$("address").focus();
}
$("sign-out").addEventListener("click", sign_out);
// The browser may keep the page in memory for its Back button: not with the credentials.
addEventListener("pagehide", sign_out);

// The beginning

document.documentElement.lang = lang;
if (lang === "de") for (const element of document.querySelectorAll("[data-de]")) element.textContent = element.dataset.de;
set_up_sending($("send"));
set_up_sending($("formats"));
show_example();
for (const element of document.querySelectorAll(".insecure")) element.hidden = isSecureContext;
show_place();
