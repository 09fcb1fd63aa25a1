// The page at GET /msg. It talks to its own server only, and keeps the credentials in memory only.

// Texts. They are English; this table has the German ones.

const german = {
	"Send messages": "Nachrichten senden",
	"Pages": "Seiten",
	"Message": "Nachricht",
	"Formats": "Formate",
	"Tokens": "Token",
	"Sign out": "Abmelden",
	"Sign in": "Anmelden",
	"With the address and password of your XMPP account, or with a sending token. Both stay in this page, and are gone when you leave it.":
		"Mit Adresse und Passwort Ihres XMPP-Kontos oder mit einem Sende-Token. Beides bleibt auf dieser Seite und ist weg, sobald Sie sie verlassen.",
	"This connection is not encrypted: others can read your password on its way. If the server has HTTPS, use that.":
		"Diese Verbindung ist nicht verschlüsselt: Andere können Ihr Passwort unterwegs lesen. Benutzen Sie HTTPS, wenn der Server das hat.",
	"Address": "Adresse",
	"Such as me@example.com. Not needed with a token.": "Etwa me@example.com. Mit einem Token nicht nötig.",
	"Password or token": "Passwort oder Token",
	"Recipient": "Empfänger",
	"An address or a room. Several are separated by commas.": "Eine Adresse oder ein Raum. Mehrere werden durch Kommas getrennt.",
	"Subject": "Betreff",
	"May be empty.": "Kann leer bleiben.",
	"Text": "Nachrichtentext",
	"Type": "Art",
	"As fits the recipient": "Wie es zum Empfänger passt",
	"Chat": "Gespräch",
	"Single message": "Einzelne Nachricht",
	"Headline, which is not kept": "Schlagzeile, die nicht aufbewahrt wird",
	"To a room": "An einen Raum",
	"Files": "Dateien",
	"Send": "Senden",
	"Try without sending": "Probelauf",
	"What other programs post becomes a message. Choose a program, change what it posts, and see what would arrive.":
		"Was andere Programme senden, wird zu einer Nachricht. Wählen Sie ein Programm, ändern Sie, was es sendet, und sehen Sie, was ankäme.",
	"Format": "Format",
	"What the program posts": "Was das Programm sendet",
	"A sending token lets a program send messages in your name, and do nothing else.":
		"Mit einem Sende-Token kann ein Programm in Ihrem Namen Nachrichten senden und sonst nichts.",
	"Sign in with your password to see, make and revoke tokens.":
		"Melden Sie sich mit Ihrem Passwort an, um Token anzuzeigen, zu erstellen und zu widerrufen.",
	"Make a token": "Token erstellen",
	"Label": "Bezeichnung",
	"Such as the name of the program. What you leave empty below is not limited.":
		"Etwa der Name des Programms. Was Sie darunter leer lassen, ist unbeschränkt.",
	"Only to": "Nur an",
	"Addresses or domains, separated by commas.": "Adressen oder Domains, durch Kommas getrennt.",
	"Only this format": "Nur dieses Format",
	"Any": "Jedes",
	"Days until it expires": "Tage, bis es abläuft",
	"Messages a minute, at most": "Höchstens so viele Nachrichten in der Minute",
	"The name that its messages show": "Der Name, den seine Nachrichten zeigen",
	"May also send by GET, for devices that can only call a URL": "Darf auch per GET senden, für Geräte, die nur eine URL aufrufen können",
	"May ask for replies": "Darf um Antworten bitten",
	"Your tokens": "Ihre Token",

	"With a sending token": "Mit einem Sende-Token",
	"With a token": "Mit einem Token",
	"This is needed.": "Das ist nötig.",
	"The address or the password is wrong.": "Die Adresse oder das Passwort ist falsch.",
	"The token is wrong, revoked or expired.": "Das Token ist falsch, widerrufen oder abgelaufen.",
	"Answer": "Antwort",
	"The same with curl": "Dasselbe mit curl",
	"curl asks for the password.": "curl fragt nach dem Passwort.",
	"$TOKEN stands for the token.": "$TOKEN steht für das Token.",
	"Copy": "Kopieren",
	"Copied.": "Kopiert.",
	"Selected; copy it with the keyboard.": "Markiert; kopieren Sie es mit der Tastatur.",
	"Working…": "Einen Moment …",
	"Event ({0})": "Ereignis ({0})",

	"Sent.": "Gesendet.",
	"Sent to {0}.": "Gesendet an {0}.",
	"Delivered.": "Zugestellt.",
	"Sent to some; see below.": "An einige gesendet, siehe unten.",
	"{0}: sent": "{0}: gesendet",
	"{0}: not sent. {1}": "{0}: nicht gesendet. {1}",
	"Nothing was sent. This would arrive:": "Es wurde nichts gesendet. Das käme an:",
	"Nothing would be sent: this event makes no message.": "Es würde nichts gesendet: Dieses Ereignis ergibt keine Nachricht.",
	"To {0}": "An {0}",
	"No text": "Kein Text",
	"The whole stanza": "Die ganze Stanza",
	"Request {0}": "Anfrage {0}",

	"No answer": "Keine Antwort",
	"The server did not answer. It is not known whether the message was sent.":
		"Der Server hat nicht geantwortet. Es ist nicht bekannt, ob die Nachricht gesendet wurde.",
	"Correct what was sent, and try again.": "Berichtigen Sie, was gesendet wurde, und versuchen Sie es noch einmal.",
	"Sign in again: the password was changed, or the token was revoked or has expired.":
		"Melden Sie sich neu an: Das Passwort wurde geändert, oder das Token wurde widerrufen oder ist abgelaufen.",
	"This account or token may not do that. Use another, or ask the administrator or the recipient.":
		"Dieses Konto oder Token darf das nicht. Benutzen Sie ein anderes, oder fragen Sie beim Administrator oder beim Empfänger nach.",
	"Check how the address is written. If it is right, the recipient takes no messages now.":
		"Prüfen Sie, wie die Adresse geschrieben ist. Wenn sie stimmt, nimmt der Empfänger gerade keine Nachrichten an.",
	"Somebody else in the room has this nickname. Try again later.":
		"Jemand anders im Raum hat diesen Spitznamen. Versuchen Sie es später noch einmal.",
	"The address is no longer used. Ask for the new one.": "Die Adresse wird nicht mehr benutzt. Fragen Sie nach der neuen.",
	"Send a shorter text or a smaller file.": "Senden Sie einen kürzeren Text oder eine kleinere Datei.",
	"This server takes no files. Send the text alone.": "Dieser Server nimmt keine Dateien an. Senden Sie nur den Text.",
	"Correct the field, and send again.": "Berichtigen Sie das Feld, und senden Sie noch einmal.",
	"Wait {0} seconds, then try again.": "Warten Sie {0} Sekunden, und versuchen Sie es dann noch einmal.",
	"Wait a minute, then try again.": "Warten Sie eine Minute, und versuchen Sie es dann noch einmal.",
	"This is a defect. Tell the administrator, with the number of the request.":
		"Das ist ein Fehler im Programm. Sagen Sie es dem Administrator, mit der Nummer der Anfrage.",
	"Another server does not work or cannot be reached. Check the domain, or try again later.":
		"Ein anderer Server geht nicht oder ist nicht erreichbar. Prüfen Sie die Domain, oder versuchen Sie es später noch einmal.",

	"Loading…": "Wird geladen …",
	"You have no sending tokens.": "Sie haben keine Sende-Token.",
	"The token is revoked.": "Das Token ist widerrufen.",
	"Revoke": "Widerrufen",
	"Revoke {0}": "{0} widerrufen",
	"Revoke {0}? Programs that use it can no longer send.": "{0} widerrufen? Programme, die es benutzen, können nichts mehr senden.",
	"only to {0}": "nur an {0}",
	"only {0}": "nur {0}",
	"{0} a minute": "{0} in der Minute",
	"by GET too": "auch per GET",
	"with replies": "mit Antworten",
	"as {0}": "als {0}",
	"until {0}": "bis {0}",
	"not limited": "unbeschränkt",
	"made {0}": "erstellt {0}",
	"used {0}": "benutzt {0}",
	"never used": "nie benutzt",
	"Your new token": "Ihr neues Token",
	"Enter in the program": "Im Programm einzutragen",
	"RECIPIENT": "EMPFÄNGER",
	"It is shown once. Whoever has it can send in your name.": "Es wird nur jetzt angezeigt. Wer es hat, kann in Ihrem Namen senden.",
};

const lang = /^de\b/i.test(navigator.language) ? "de" : "en";

// The text in the reader's language, with {0}, {1}, … filled in.
const t = (text, ...values) => (lang === "de" && german[text] || text).replace(/\{(\d)\}/g, (_, number) => values[number]);

const time = (rfc3339) => new Date(rfc3339).toLocaleString(lang, { dateStyle: "medium", timeStyle: "short" });

function translate(root) {
	const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
	while (walker.nextNode()) {
		const node = walker.currentNode;
		if (node.data.trim()) node.data = node.data.replace(node.data.trim(), t(node.data.trim()));
	}
	for (const element of root.querySelectorAll("[aria-label]")) element.setAttribute("aria-label", t(element.getAttribute("aria-label")));
}

// What other programs post, to begin with. [payload, header that names the event, event]

const examples = {
	alertmanager: [{
		version: "4", status: "firing", receiver: "team", groupLabels: { alertname: "DiskFull" },
		commonLabels: { alertname: "DiskFull", severity: "warning" }, commonAnnotations: {}, externalURL: "http://alerts.example.com:9093",
		alerts: [{
			status: "firing", labels: { alertname: "DiskFull", instance: "db1.example.com:9100", severity: "warning" },
			annotations: { summary: "/srv of db1 is almost full", runbook_url: "https://runbooks.example.com/disk" },
			startsAt: "2026-11-22T05:14:23Z", endsAt: "0001-01-01T00:00:00Z", generatorURL: "http://prometheus.example.com:9090/graph",
		}],
	}],
	apprise: [{ title: "Backup", body: "db1 is saved", type: "success" }],
	discord: [{ content: "Build **42** has failed", embeds: [{ title: "The log", url: "https://ci.example.com/42" }] }],
	gitea: [{
		action: "opened", number: 1, repository: { full_name: "team/shop", html_url: "https://git.example.com/team/shop" },
		issue: { number: 1, title: "The cart is empty", state: "open", html_url: "https://git.example.com/team/shop/issues/1" },
		sender: { login: "example", username: "example" },
	}, "X-Gitea-Event", "issues"],
	github: [{
		action: "opened", repository: { full_name: "team/shop", html_url: "https://github.example.com/team/shop" },
		issue: { number: 1, title: "The cart is empty", html_url: "https://github.example.com/team/shop/issues/1", labels: [] },
		sender: { login: "example" },
	}, "X-GitHub-Event", "issues"],
	gitlab: [{
		object_kind: "pipeline", user: { name: "Example", username: "example" },
		project: { path_with_namespace: "team/shop", web_url: "https://gitlab.example.com/team/shop" },
		object_attributes: { id: 31, iid: 3, ref: "main", status: "failed", duration: 63, url: "https://gitlab.example.com/team/shop/-/pipelines/31" },
		builds: [{ id: 380, stage: "test", name: "unit tests", status: "failed" }],
	}, "X-Gitlab-Event", "Pipeline Hook"],
	gotify: [{ title: "Backup", message: "All is well.", priority: 5 }],
	grafana: [{
		receiver: "team", status: "firing", title: "[FIRING:1] High load", message: "", commonLabels: { alertname: "High load" },
		commonAnnotations: {}, groupLabels: {}, externalURL: "https://grafana.example.com/",
		alerts: [{
			status: "firing", labels: { alertname: "High load", host: "web1" }, annotations: { summary: "The load of web1 is high" },
			startsAt: "2026-11-22T05:14:23Z", endsAt: "0001-01-01T00:00:00Z", values: { B: 44.2 }, panelURL: "https://grafana.example.com/d/abc?viewPanel=2",
		}],
	}],
	healthchecks: [{ name: "Backup of db1", status: "down", tags: "prod db1", url: "https://checks.example.com/803f680d/details/" }],
	json: [{ title: "Disks", message: "db1 is almost full", status: "warning" }],
	ntfy: [{ topic: "disks", title: "Low disk space", message: "5.1 GB are left", tags: ["warning"], priority: 4, click: "https://example.com/disks" }],
	pushover: [{ user: "me", title: "Backup", message: "All is well." }],
	slack: [{ text: "Build *42* has failed: <https://ci.example.com/42|the log>" }],
	"uptime-kuma": [{
		heartbeat: { monitorID: 3, status: 0, time: "2026-11-22 05:14:23.117", msg: "Request failed with status code 503", important: true },
		monitor: { id: 3, name: "Shop", url: "https://shop.example.com/", type: "http" }, msg: "[Shop] [🔴 Down] Request failed with status code 503",
	}],
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

function copy_button(target) {
	const done = make("span", { className: "quiet" });
	done.setAttribute("role", "status");
	const button = make("button", { type: "button", className: "small" }, t("Copy"));
	button.addEventListener("click", async () => {
		// Without HTTPS there is no clipboard API; copying a selection works there.
		try {
			await navigator.clipboard.writeText(target.textContent);
			done.textContent = t("Copied.");
		} catch {
			getSelection().selectAllChildren(target);
			done.textContent = t(document.execCommand("copy") ? "Copied." : "Selected; copy it with the keyboard.");
		}
	});
	button.setAttribute("aria-describedby", target.id);
	return make("p", { className: "buttons" }, button, done);
}

// Requests

const base = new URL(".", import.meta.url).pathname.slice(0, -1);
const url = (path) => base + (path && !path.startsWith("?") ? "/" : "") + path;
let account = null; // { authorization, name, curl (how curl signs in), bearer (whether a token does) }

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
		const problem = !response.ok && (data ?? { detail: text });
		return { title: response.statusText, ...problem, status: response.status, ok: response.ok, data, retry: response.headers.get("Retry-After") };
	} catch {
		return { status: 0 };
	}
}

const tokens = (request) => post("@tokens", JSON.stringify(request), { "Content-Type": "application/json" });

// The request that a form describes: { path, body, headers, curl }. A single recipient is in the path, others in the query.
function request_of(form, dry) {
	const { to, as, event, body, subject, type, file } = form.elements;
	const recipients = split(to.value);
	const query = new URLSearchParams();
	if (dry || recipients.length !== 1) for (const recipient of recipients) query.append("to", recipient);
	if (as) query.append("as", as.value);
	let path = dry ? "@try" : recipients.length === 1 ? encodeURIComponent(recipients[0]).replace(/%40/g, "@").replace(/%2F/g, "/") : "";
	if (query.toString()) path += "?" + query;

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
		// Within the quotes of a name, curl has a backslash stand before a quote and a backslash.
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
	return { path, body: content, headers, curl: [`curl ${quote(location.origin + url(path))}`, account.curl, ...curl].join(" \\\n    ") };
}

// A word of the shell.
const quote = (text) => `'${text.replace(/'/g, "'\\''")}'`;

// Fields and their errors

for (const control of document.querySelectorAll("input, select, textarea")) {
	const error = make("strong", { id: control.id + "-error", className: "error" });
	control.parentNode.append(error);
	control.setAttribute("aria-describedby", [control.getAttribute("aria-describedby"), error.id].filter(Boolean).join(" "));
}

function set_error(control, text) {
	$(control.id + "-error").textContent = text;
	if (text) control.setAttribute("aria-invalid", "true"); else control.removeAttribute("aria-invalid");
}

// Says in the field what is wrong with it, and goes there.
function point_at(control, text, of_server) {
	set_error(control, text);
	$(control.id + "-error").lang = of_server ? "en" : lang;
	control.focus();
}

// Calls `work` when the form is submitted and has what it needs; not again before that has ended.
function on_submit(form, work) {
	let busy = false;
	form.addEventListener("submit", async (event) => {
		event.preventDefault();
		if (busy) return;
		for (const control of form.elements) if (control.name) set_error(control, "");
		const empty = Array.from(form.elements).find((control) => control.required && !control.value.trim());
		if (empty) return point_at(empty, t("This is needed."));
		busy = true;
		form.setAttribute("aria-busy", "true");
		try { await work(event.submitter?.value ?? ""); } finally {
			busy = false;
			form.removeAttribute("aria-busy");
		}
	});
}

// Answers

function advice({ status, retry }) {
	const wait = retry ? t("Wait {0} seconds, then try again.", retry) : t("Wait a minute, then try again.");
	return {
		0: t("The server did not answer. It is not known whether the message was sent."),
		401: t("Sign in again: the password was changed, or the token was revoked or has expired."),
		403: t("This account or token may not do that. Use another, or ask the administrator or the recipient."),
		404: t("Check how the address is written. If it is right, the recipient takes no messages now."),
		409: t("Somebody else in the room has this nickname. Try again later."),
		410: t("The address is no longer used. Ask for the new one."),
		413: t("Send a shorter text or a smaller file."),
		415: t("This server takes no files. Send the text alone."),
		422: t("Correct the field, and send again."),
		429: wait,
		500: t("This is a defect. Tell the administrator, with the number of the request."),
		503: wait,
	}[status] ?? t(status < 500 ? "Correct what was sent, and try again." : "Another server does not work or cannot be reached. Check the domain, or try again later.");
}

// What the server says is English.
const of_server = (text) => make("p", { lang: "en" }, text);

// > elements that tell what became of a request that failed
function failure(result) {
	const outcomes = Array.isArray(result.outcomes) ? outcome_list(result.outcomes) : "";
	return make("div", { className: "answer bad" },
		make("p", {}, make("strong", {}, result.status ? `${result.status} ${result.title ?? ""}` : t("No answer"))),
		result.detail ? of_server(result.detail) : "", outcomes,
		make("p", {}, advice(result)),
		result.request_id ? make("p", { className: "quiet" }, t("Request {0}", result.request_id)) : "");
}

function outcome_list(outcomes) {
	return make("ul", {}, ...outcomes.map(({ to, status, error }) =>
		make("li", {}, status === "failed" ? t("{0}: not sent. {1}", to, error?.detail ?? "") : t("{0}: sent", to))));
}

function success(result) {
	const one = Array.isArray(result.data) ? null : result.data;
	const text = result.status === 207 ? t("Sent to some; see below.") : one?.status === "delivered" ? t("Delivered.")
		: one?.to ? t("Sent to {0}.", one.to) : t("Sent.");
	return make("div", { className: "answer" }, make("p", {}, make("strong", {}, `${result.status} ${result.title}`)), make("p", {}, text),
		one || !result.data ? "" : outcome_list(result.data));
}

// What a dry run shows: each message as it would arrive.
function preview({ data: { messages } }) {
	if (!messages.length) return make("p", { className: "answer" }, t("Nothing would be sent: this event makes no message."));
	return make("div", { className: "answer" }, make("p", {}, t("Nothing was sent. This would arrive:")), ...messages.flatMap(({ to, stanza }) => {
		const xml = new DOMParser().parseFromString(stanza, "text/xml").documentElement;
		const text = ["subject", "body"].map((name) => Array.from(xml.children).find((child) => child.localName === name)?.textContent)
			.filter(Boolean).join("\n\n");
		return [make("p", {}, make("strong", {}, t("To {0}", to))), make("pre", { className: "text" }, text || t("No text")),
			make("details", {}, make("summary", {}, t("The whole stanza")), make("pre", {}, stanza))];
	}));
}

// A form that sends: its answer and its curl line stand beside it.
function set_up_sending(section) {
	const form = section.querySelector("form");
	const answer = make("div", {});
	answer.setAttribute("role", "status");
	const curl = make("pre", { id: section.id + "-curl" });
	section.querySelector(".results").append(make("h3", {}, t("Answer")), answer, make("h3", {}, t("The same with curl")), curl,
		make("p", { className: "quiet curl-hint" }));
	curl.before(copy_button(curl));

	const show_curl = () => { if (account) curl.textContent = request_of(form).curl; };
	form.addEventListener("input", show_curl);
	form.addEventListener("change", show_curl);
	section.addEventListener("shown", show_curl);

	on_submit(form, async (button) => {
		const dry = button === "try";
		answer.replaceChildren(t("Working…"));
		const { path, body, headers } = request_of(form, dry);
		const result = await post(path, body, headers);
		if (!account) return;
		answer.replaceChildren(!result.ok ? failure(result) : dry ? preview(result) : success(result));
		const control = !result.ok && result.field && form.elements[result.field];
		if (control) point_at(control, result.detail, true);
	});
}

// Tokens

async function list_tokens() {
	$("token-list").replaceChildren();
	$("token-answer").replaceChildren(t("Loading…"));
	const result = await tokens({ action: "list" });
	if (!account) return;
	if (!result.ok) return $("token-answer").replaceChildren(failure(result));
	const found = result.data.tokens.sort((one, other) => (other.made ?? "").localeCompare(one.made ?? ""));
	$("token-answer").replaceChildren(found.length ? "" : t("You have no sending tokens."));
	$("token-list").replaceChildren(...found.map((token) => {
		const name = token.label || token.id;
		const limits = [
			token.to?.length && t("only to {0}", token.to.join(", ")), token.as && t("only {0}", token.as),
			token.get && t("by GET too"), token.replies && t("with replies"), token.nick && t("as {0}", token.nick),
			token.rate && t("{0} a minute", token.rate), token.expires && t("until {0}", time(token.expires)),
		].filter(Boolean);
		const times = [token.made && t("made {0}", time(token.made)), token.used ? t("used {0}", time(token.used)) : t("never used")].filter(Boolean);
		const revoke = make("button", { type: "button", className: "small" }, t("Revoke"));
		revoke.setAttribute("aria-label", t("Revoke {0}", name));
		revoke.addEventListener("click", () => confirm(t("Revoke {0}? Programs that use it can no longer send.", name)) && revoke_token(token.id));
		return make("li", {}, make("div", {}, make("strong", {}, name),
			make("p", { className: "quiet" }, limits.join(" · ") || t("not limited")),
			make("p", { className: "quiet" }, times.join(" · ")), make("p", { className: "quiet" }, token.id)), revoke);
	}));
}

async function revoke_token(id) {
	const result = await tokens({ action: "revoke", id });
	if (!account) return;
	if (result.ok) await list_tokens();
	$("token-answer").replaceChildren(result.ok ? t("The token is revoked.") : failure(result));
	// The button that was pressed is gone.
	$("tokens-title").focus();
}

on_submit($("tokens").querySelector("form"), async () => {
	const form = $("tokens").querySelector("form");
	const { label, to, as, days, rate, nick, get, replies } = Object.fromEntries(new FormData(form));
	$("new-token").replaceChildren();
	const request = { label: label.trim(), to: split(to), as, days: days.trim(), rate: rate.trim(), nick: nick.trim(), get: get ? "true" : "", replies: replies ? "true" : "" };
	// What is empty is left out.
	const result = await tokens({ action: "add", ...Object.fromEntries(Object.entries(request).filter(([, value]) => value.length)) });
	if (!account) return;
	if (!result.ok) {
		$("token-answer").replaceChildren(failure(result));
		const control = result.field && form.elements[result.field];
		return control && point_at(control, result.detail, true);
	}
	form.reset();
	const title = make("h3", { tabIndex: -1 }, t("Your new token"));
	const token = make("pre", { id: "token" }, result.data.token);
	// What to enter in the program for whose format it was made.
	const enter = result.data.enter && make("pre", { id: "token-enter" },
		result.data.enter.replaceAll("{server}", (location.origin + url("")).replace(/\/$/, "")).replaceAll("{recipient}", t("RECIPIENT")));
	$("new-token").replaceChildren(make("div", { className: "answer" }, title, token, copy_button(token),
		make("p", {}, t("It is shown once. Whoever has it can send in your name.")),
		...(enter ? [make("h3", {}, t("Enter in the program")), enter, copy_button(enter)] : [])));
	title.focus();
	await list_tokens();
});

// Formats

for (const name of Object.keys(examples)) for (const id of ["format-as", "token-as"]) $(id).append(make("option", {}, name));

function show_example() {
	const [payload, header, event] = examples[$("format-as").value];
	$("format-body").value = JSON.stringify(payload, null, 2);
	$("format-event").value = event ?? "";
	$("format-event").dataset.header = header ?? "";
	$("format-event").parentNode.hidden = !header;
	document.querySelector("label[for='format-event']").textContent = t("Event ({0})", header ?? "");
}
$("format-as").addEventListener("change", show_example);
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

on_submit($("sign-in").querySelector("form"), async () => {
	const address = $("address").value.trim(), secret = $("secret").value.trim();
	const sending = secret.startsWith("pmsg_");
	const bearer = sending || !address;
	const authorization = bearer ? "Bearer " + secret : "Basic " + base64(`${address}:${$("secret").value}`);
	const result = await post("@try?to=" + encodeURIComponent(location.hostname), "?", { "Content-Type": "text/plain" }, authorization);
	if (result.status === 401) {
		return point_at($("secret"), t(bearer ? "The token is wrong, revoked or expired." : "The address or the password is wrong."));
	}
	// A sending token that may not send this is right all the same.
	if ([0, 429].includes(result.status) || result.status >= 500 || result.status === 403 && !sending) {
		return point_at($("secret"), [result.status || t("No answer"), result.detail, advice(result)].filter(Boolean).join(" · "));
	}
	account = {
		authorization, bearer, name: sending ? t("With a sending token") : address || t("With a token"),
		curl: bearer ? '-H "Authorization: Bearer $TOKEN"' : `-u ${quote(address)}`,
	};
	$("sign-in").querySelector("form").reset();
	$("who").textContent = account.name;
	if (!bearer) $("format-to").value = address.split("/")[0];
	for (const hint of document.querySelectorAll(".curl-hint")) hint.textContent = t(bearer ? "$TOKEN stands for the token." : "curl asks for the password.");
	const place = show_place();
	(place === "send" ? $("send-to") : $(place + "-title")).focus();
});

function sign_out() {
	account = null;
	for (const form of document.forms) {
		form.reset();
		for (const control of form.elements) if (control.name) set_error(control, "");
	}
	for (const element of document.querySelectorAll("#new-token, #token-list, [role=status], pre")) element.replaceChildren();
	show_place();
	$("address").focus();
}
$("sign-out").addEventListener("click", sign_out);
// The browser may keep the page in memory for its Back button: not with the credentials.
addEventListener("pagehide", sign_out);

// The beginning

document.documentElement.lang = lang;
if (lang !== "en") translate(document.documentElement);
set_up_sending($("send"));
set_up_sending($("formats"));
show_example();
$("insecure").hidden = isSecureContext;
show_place();
