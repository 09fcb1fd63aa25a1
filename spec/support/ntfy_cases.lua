--[[ What programs send to publish with ntfy's protocol, and what must come of it. spec/ntfy_spec.lua runs every case.

A case has
	name        a sentence
	token       "one": the token may send to user@example.com alone (the default); "host": it may send to any recipient;
	            "get": as "one", and by GET; "two": it may send to user@example.com and to nobody@example.com
	method      POST by default
	path        what follows the base path, with the topic: "/backups"; "/" and "" are the root
	query       the query, percent-encoded
	headers     { name = value }. Without a Content-Type, a POST with a body has that of `curl -d`; with `false` it has none
	body        the bytes of the body
	credentials how the token is presented (spec/ntfy_spec.lua); "bearer" by default
	arrives     the one message: `body`; `oob_url`; `file` (name, content) instead of an oob_url; `at`, the recipient if it is not
	            user@example.com. `false`: nobody receives anything
	status      200 by default
	answer      members of the JSON that is answered: `message`, `title`, `priority`, `tags`, `click`. One of the last four
	            that is not named is not there. `topic` is the topic of the path, unless it is named; `false`: it is not checked
]]

local json = require "dkjson";
local mime = require "mime";

local cases = {};
local png = mime.unb64("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==");

local function add(case)
	cases[#cases + 1] = case;
end

-- Pairs in the order of their keys, so that the cases have the same order in every run.
local function each(map)
	local keys, i = {}, 0;
	for key in pairs(map) do keys[#keys + 1] = key; end
	table.sort(keys);
	return function ()
		i = i + 1;
		return keys[i], map[keys[i]];
	end
end

local function escape(text)
	return (text:gsub("[^%w._-]", function (c) return ("%%%02X"):format(c:byte()); end));
end

-- Parameters: each with every alias, in a header, in the query, and as a member of the JSON.
-- `json` is that member, `value_of_json` its value if it is not that of the header. The rest is a case.
local parameters = {
	{
		names = { "X-Message", "Message", "m" }; json = "message"; value = "The lift is stuck"; body = "";
		arrives = { body = "The lift is stuck" };
		answer = { message = "The lift is stuck" };
	};
	{
		names = { "X-Title", "Title", "t" }; json = "title"; value = "House 7";
		arrives = { body = "House 7\nIt is done" };
		answer = { message = "It is done"; title = "House 7" };
	};
	{
		names = { "X-Priority", "Priority", "prio", "p" }; json = "priority"; value = "5"; value_of_json = 5;
		arrives = { body = "❗ It is done" };
		answer = { message = "It is done"; priority = 5 };
	};
	{
		names = { "X-Tags", "Tags", "Tag", "ta" }; json = "tags"; value = "tada,db1"; value_of_json = { "tada", "db1" };
		arrives = { body = "🎉 It is done\n#db1" };
		answer = { message = "It is done"; tags = { "tada", "db1" } };
	};
	{
		names = { "X-Delay", "Delay", "X-At", "At", "X-In", "In" }; json = "delay"; value = "30min";
		arrives = false; status = 422;
	};
	{
		names = { "X-Actions", "Actions", "Action" }; json = "actions"; value = "view, Look, https://house.example.com/7";
		value_of_json = { { action = "view"; label = "Look"; url = "https://house.example.com/7" } };
		arrives = { body = "It is done\nLook: https://house.example.com/7" };
		answer = { message = "It is done" };
	};
	{
		names = { "X-Click", "Click" }; json = "click"; value = "https://house.example.com/7?a=b&c=d";
		arrives = { body = "It is done\nhttps://house.example.com/7?a=b&c=d" };
		answer = { message = "It is done"; click = "https://house.example.com/7?a=b&c=d" };
	};
	{
		names = { "X-Attach", "Attach", "a" }; json = "attach"; value = "https://house.example.com/plan.pdf";
		arrives = { body = "It is done"; oob_url = "https://house.example.com/plan.pdf" };
		answer = { message = "It is done" };
	};
	{
		names = { "X-Markdown", "Markdown", "md" }; json = "markdown"; value = "yes"; value_of_json = true; body = "It is **done**";
		arrives = { body = "It is *done*" };
		answer = { message = "It is **done**" };
	};
	{
		names = { "X-Icon", "Icon" }; json = "icon"; value = "https://house.example.com/icon.png";
		arrives = { body = "It is done" };
		answer = { message = "It is done" };
	};
	{
		names = { "X-Filename", "Filename", "file", "f" }; value = "notes.txt"; body = "Water the plants\n";
		arrives = { file = { name = "notes.txt"; content = "Water the plants\n" } };
		answer = {};
	};
	{
		names = { "X-Email", "X-E-Mail", "Email", "E-Mail", "mail", "e" }; json = "email"; value = "box@mail.example.com";
		arrives = { body = "It is done" };
		answer = { message = "It is done" };
	};
	{
		names = { "X-Call", "Call" }; json = "call"; value = "+15550100";
		arrives = { body = "It is done" };
		answer = { message = "It is done" };
	};
	{
		names = { "X-Cache", "Cache" }; json = "cache"; value = "no";
		arrives = { body = "It is done" };
		answer = { message = "It is done" };
	};
	{
		names = { "X-Firebase", "Firebase" }; json = "firebase"; value = "no";
		arrives = { body = "It is done" };
		answer = { message = "It is done" };
	};
	{
		names = { "X-UnifiedPush", "UnifiedPush", "up" }; value = "1";
		arrives = { body = "It is done" };
		answer = { message = "It is done" };
	};
	{
		names = { "X-Poll-ID", "Poll-ID" }; value = "aB3dE6gH9jK2";
		arrives = { body = "It is done" };
		answer = { message = "It is done" };
	};
};

for _, parameter in ipairs(parameters) do
	local body = parameter.body or "It is done";
	local function add_with(name, case)
		case.name, case.arrives, case.status, case.answer = name, parameter.arrives, parameter.status, parameter.answer;
		add(case);
	end
	for _, name in ipairs(parameter.names) do
		add_with("the header " .. name, { path = "/house"; headers = { [name] = parameter.value }; body = body });
		add_with("the header " .. name .. " in other letters",
			{ path = "/house"; headers = { [name == name:lower() and name:upper() or name:lower()] = parameter.value }; body = body });
		add_with("the parameter " .. name:lower() .. " of the query",
			{ path = "/house"; query = name:lower() .. "=" .. escape(parameter.value); body = body });
	end
	if parameter.json then
		local object = { topic = "house"; message = body ~= "" and body or nil };
		object[parameter.json] = parameter.value_of_json or parameter.value;
		add_with("the member " .. parameter.json .. " of the JSON",
			{ path = "/"; headers = { ["Content-Type"] = "application/json" }; body = json.encode(object); });
		cases[#cases].topic = "house";
	end
end

add {
	name = "the member filename of the JSON, beside an attachment";
	path = "/"; topic = "house";
	body = [[{"topic": "house", "message": "It is done", "attach": "https://house.example.com/7", "filename": "plan.pdf"}]];
	arrives = { body = "It is done"; oob_url = "https://house.example.com/7" };
	answer = { message = "It is done" };
};
add {
	name = "the header Content-Type for Markdown";
	path = "/house"; headers = { ["Content-Type"] = "text/markdown" }; body = "It is **done**";
	arrives = { body = "It is *done*" };
	answer = { message = "It is **done**" };
};
for _, name in ipairs { "content-type", "content_type" } do add {
	name = "the parameter " .. name .. " of the query for Markdown";
	path = "/house"; query = name .. "=text%2Fmarkdown"; headers = { ["Content-Type"] = false }; body = "It is **done**";
	arrives = { body = "It is *done*" };
	answer = { message = "It is **done**" };
} end

-- Credentials.

for credentials, name in each {
	bearer = "a token as Bearer"; ["bearer in lower case"] = "a token as bearer";
	["basic without a name"] = "a token as the password, without a user name";
	["basic"] = "a token as the password of its account"; ["auth bearer"] = "a token as Bearer in the query";
	["auth basic"] = "a token as the password in the query"; ["auth basic without a name"] = "a token as the password in the query, without a user name";
	["authorization bearer"] = "a token as Bearer in the query, by the longer name"; ["token"] = "a token alone in the query";
} do
	add {
		name = name; credentials = credentials;
		path = "/safe"; body = "The safe is open";
		arrives = { body = "The safe is open" };
		answer = { message = "The safe is open" };
	};
	add {
		name = name .. ", of a request by GET"; credentials = credentials; token = "get"; method = "GET";
		path = "/safe/publish"; query = "message=The+safe+is+open";
		arrives = { body = "The safe is open" };
		answer = { message = "The safe is open" };
	};
end
add {
	name = "a user name and a password"; credentials = "password"; path = "/user"; query = "as=ntfy"; body = "The safe is open";
	arrives = { body = "The safe is open" };
	answer = { message = "The safe is open" };
};
add {
	name = "a password in the query is refused"; credentials = "auth password"; path = "/user"; query = "as=ntfy"; body = "The safe is open";
	arrives = false; status = 401;
};
add {
	name = "a token in the query that is no Base64 is refused"; credentials = "auth broken"; path = "/safe"; body = "The safe is open";
	arrives = false; status = 401;
};

-- The examples of "Publishing".

for _, how in ipairs {
	{ "POST", "application/x-www-form-urlencoded" }, { "PUT", false }, { "POST", "text/plain" }, { "POST", "text/plain;charset=UTF-8" },
	{ "POST", false },
} do
	add {
		name = ("a text, by %s, with %s"):format(how[1], how[2] or "no Content-Type");
		method = how[1]; path = "/mytopic"; headers = { ["Content-Type"] = how[2] }; body = "The cake is ready 🎂";
		arrives = { body = "The cake is ready 🎂" };
		answer = { message = "The cake is ready 🎂" };
	};
end
add {
	name = "a title, the highest priority and two emoji";
	path = "/house_alerts"; headers = { Title = "Water in the cellar"; Priority = "urgent"; Tags = "warning,skull" };
	body = "The sensor at the boiler is wet. Somebody has to look.";
	arrives = { body = "❗ ⚠️ 💀 Water in the cellar\nThe sensor at the boiler is wet. Somebody has to look." };
	answer = {
		message = "The sensor at the boiler is wet. Somebody has to look."; title = "Water in the cellar"; priority = 5;
		tags = { "warning", "skull" };
	};
};
add {
	name = "several lines, an address to click, an attachment, an action and an e-mail address";
	path = "/mygate";
	headers = {
		Click = "https://gate.example.com/"; Attach = "https://gate.example.com/view/1.jpg"; Email = "box@mail.example.com";
		Actions = "http, Open the gate, https://api.example.com/open/1, clear=true";
	};
	body = "A van is at the gate. 🚚\n   \n    Is it the parcel? \n    Nobody else was announced.";
	arrives = {
		body = "A van is at the gate. 🚚\n   \n    Is it the parcel? \n    Nobody else was announced.\nhttps://gate.example.com/";
		oob_url = "https://gate.example.com/view/1.jpg";
	};
	answer = {
		message = "A van is at the gate. 🚚\n   \n    Is it the parcel? \n    Nobody else was announced."; click = "https://gate.example.com/";
	};
};

-- "Message title"

for _, name in ipairs { "X-Title", "Title", "t" } do
	add {
		name = "a title, by " .. name; path = "/tea"; headers = { [name] = "Tea is better than coffee" }; body = "Well ...";
		arrives = { body = "Tea is better than coffee\nWell ..." };
		answer = { message = "Well ..."; title = "Tea is better than coffee" };
	};
end

-- "Message priority"

for _, example in ipairs {
	{ "X-Priority", "5", 5, "❗ The roof leaks" }, { "Priority", "low", 2, "The roof leaks" }, { "p", "4", 4, "The roof leaks" },
} do
	add {
		name = ("the priority %s, by %s"):format(example[2], example[1]); path = "/house_alerts";
		headers = { [example[1]] = example[2] }; body = "The roof leaks";
		arrives = { body = example[4] };
		answer = { message = "The roof leaks"; priority = example[3] };
	};
end
for value, level in each {
	["1"] = 1, ["min"] = 1, ["2"] = 2, ["low"] = 2, ["3"] = 3, ["default"] = 3, ["4"] = 4, ["high"] = 4, ["5"] = 5, ["max"] = 5, ["urgent"] = 5,
	["HIGH"] = 4, ["Max"] = 5, [" 4 "] = 4,
} do
	for _, case in ipairs { { headers = { Priority = value } }, { query = "priority=" .. escape(value) } } do
		case.name = ("the priority %q %s"):format(value, case.query and "in the query" or "in a header");
		case.path, case.body = "/house", "The roof leaks";
		case.arrives = { body = level == 5 and "❗ The roof leaks" or "The roof leaks" };
		case.answer = { message = "The roof leaks"; priority = level };
		add(case);
	end
end
for _, value in ipairs { "0", "6", "-1", "3.5", "important", "high!", "4, 5" } do
	for _, case in ipairs { { headers = { Priority = value } }, { query = "p=" .. escape(value) } } do
		case.name = ("%q is no priority, and is ignored %s"):format(value, case.query and "in the query" or "in a header");
		case.path, case.body = "/house", "The roof leaks";
		case.arrives = { body = "The roof leaks" };
		case.answer = { message = "The roof leaks" };
		add(case);
	end
end
for _, level in ipairs { 1, 2, 3, 4, 5 } do
	add {
		name = "the priority " .. level .. " in JSON"; path = ""; topic = "house";
		body = ('{"topic": "house", "message": "The roof leaks", "priority": %d}'):format(level);
		arrives = { body = level == 5 and "❗ The roof leaks" or "The roof leaks" };
		answer = { message = "The roof leaks"; priority = level };
	};
end
for _, level in ipairs { "0", "6", "-1", "3.5", "100", "null" } do
	add {
		name = level .. " in JSON is no priority, and is ignored"; path = ""; topic = "house";
		body = ('{"topic": "house", "message": "The roof leaks", "priority": %s}'):format(level);
		arrives = { body = "The roof leaks" };
		answer = { message = "The roof leaks" };
	};
end
for _, value in ipairs { "u=1, i", "u=1,i", "u=5", "u=3, 2" } do
	add {
		name = ("the priority of HTTP, %q, is ignored"):format(value); path = "/house"; headers = { Priority = value }; body = "The roof leaks";
		arrives = { body = "The roof leaks" };
		answer = { message = "The roof leaks" };
	};
end
for name, case in each {
	["by X-Priority"] = { headers = { ["X-Priority"] = "high"; Priority = "u=1, i" } };
	["by prio"] = { headers = { prio = "high"; Priority = "u=1, i" } };
	["in the query"] = { headers = { Priority = "u=1, i" }; query = "priority=high" };
	["in JSON"] = { headers = { Priority = "u=1, i" }; path = ""; body = [[{"topic": "house", "message": "The roof leaks", "priority": 4}]] };
} do
	case.name = "the priority of HTTP does not hide another one " .. name;
	case.topic = "house";
	case.path, case.body = case.path or "/house", case.body or "The roof leaks";
	case.arrives = { body = "The roof leaks" };
	case.answer = { message = "The roof leaks"; priority = 4 };
	add(case);
end

-- "Tags & emojis"

for _, example in ipairs {
	{ "X-Tags", "warning,cellar2,every-week", "⚠️ The copy failed\n#cellar2 #every-week", { "warning", "cellar2", "every-week" } },
	{ "Tags", "horse,unicorn", "🐴 🦄 The copy failed", { "horse", "unicorn" } },
	{ "ta", "dog", "🐶 The copy failed", { "dog" } },
} do
	add {
		name = "tags, by " .. example[1]; path = "/copies"; headers = { [example[1]] = example[2] }; body = "The copy failed";
		arrives = { body = example[3] };
		answer = { message = "The copy failed"; tags = example[4] };
	};
end
for tags, expected in each {
	["+1"] = { "👍 The copy failed", { "+1" } };
	["-1"] = { "👎 The copy failed", { "-1" } };
	["heavy_check_mark"] = { "✔️ The copy failed", { "heavy_check_mark" } };
	["no_entry, computer"] = { "⛔ 💻 The copy failed", { "no_entry", "computer" } };
	[" tada ,, db one , "] = { "🎉 The copy failed\n#db_one", { "tada", "db one" } };
	["Übung"] = { "The copy failed\n#Übung", { "Übung" } };
} do
	add {
		name = ("the tags %q"):format(tags); path = "/copies"; headers = { Tags = tags }; body = "The copy failed";
		arrives = { body = expected[1] };
		answer = { message = "The copy failed"; tags = expected[2] };
	};
end
add {
	name = "emoji stand before the title"; path = "/copies"; headers = { Tags = "cd,rotating_light,db1"; Title = "Nightly copy"; Priority = "max" };
	body = "The copy failed";
	arrives = { body = "❗ 💿 🚨 Nightly copy\nThe copy failed\n#db1" };
	answer = { message = "The copy failed"; title = "Nightly copy"; priority = 5; tags = { "cd", "rotating_light", "db1" } };
};

-- "Markdown formatting"

add {
	name = "Markdown, by a header"; path = "/mytopic"; headers = { Markdown = "yes" };
	body = "Now in **bold**, *slanted*, `code`, ~~struck~~ and [linked](https://words.example.com/)";
	arrives = { body = "Now in *bold*, _slanted_, `code`, ~struck~ and linked (https://words.example.com/)" };
	answer = { message = "Now in **bold**, *slanted*, `code`, ~~struck~~ and [linked](https://words.example.com/)" };
};
add {
	name = "Markdown, with a title that is not Markdown"; path = "/mytopic"; headers = { Markdown = "yes"; Title = "**House** 7" }; body = "**Now**";
	arrives = { body = "**House** 7\n*Now*" };
	answer = { message = "**Now**"; title = "**House** 7" };
};
for value, yes in each { yes = true, ["true"] = true, ["1"] = true, YES = true, no = false, ["false"] = false, ["0"] = false, maybe = false } do
	add {
		name = ("Markdown or not: %s"):format(value); path = "/mytopic"; headers = { ["X-Markdown"] = value }; body = "**Now**";
		arrives = { body = yes and "*Now*" or "**Now**" };
		answer = { message = "**Now**" };
	};
end

-- "Scheduled delivery"

for _, example in ipairs {
	{ "At", "tomorrow, 10am" }, { "In", "30min" }, { "Delay", "1639194738" }, { "Delay", "1 day" }, { "At", "8:30pm" }, { "In", "soon" },
} do
	add {
		name = ("a delay, %s: %s, is refused"):format(example[1], example[2]); path = "/reminder"; headers = { [example[1]] = example[2] };
		body = "Take the bread out of the oven";
		arrives = false; status = 422;
	};
	add {
		name = ("a delay in the query, %s: %s, is refused"):format(example[1], example[2]);
		path = "/reminder"; query = example[1]:lower() .. "=" .. escape(example[2]);
		body = "Take the bread out of the oven";
		arrives = false; status = 422;
	};
end

-- "Webhooks (publish via GET)"

for _, word in ipairs { "publish", "send", "trigger" } do
	add {
		name = "GET without a message, by /" .. word; token = "get"; method = "GET"; path = "/myhook/" .. word;
		arrives = { body = "triggered" };
		answer = { message = "triggered" };
	};
	add {
		name = "GET with a message, a priority and tags, by /" .. word; token = "get"; method = "GET";
		path = "/myhook/" .. word; query = "message=The+hook+was+called&priority=high&tags=warning,skull";
		arrives = { body = "⚠️ 💀 The hook was called" };
		answer = { message = "The hook was called"; priority = 4; tags = { "warning", "skull" } };
	};
	add {
		name = "GET with headers, by /" .. word; token = "get"; method = "GET";
		path = "/myhook/" .. word; headers = { Title = "House 7"; Message = "The hook was called" };
		arrives = { body = "House 7\nThe hook was called" };
		answer = { message = "The hook was called"; title = "House 7" };
	};
	for _, method in ipairs { "POST", "PUT" } do
		add {
			name = method .. " to /" .. word; method = method; path = "/myhook/" .. word; body = "The hook was called";
			arrives = { body = "The hook was called" };
			answer = { message = "The hook was called" };
		};
	end
	add {
		name = "POST without a body to /" .. word; path = "/myhook/" .. word; query = "m=The+hook+was+called"; body = "";
		arrives = { body = "The hook was called" };
		answer = { message = "The hook was called" };
	};
	add {
		name = "GET with a token that was made without --get, by /" .. word; method = "GET"; path = "/myhook/" .. word; query = "m=no";
		arrives = false; status = 405;
	};
	add {
		name = "GET with a delay is refused, by /" .. word; token = "get"; method = "GET"; path = "/myhook/" .. word; query = "m=no&in=1h";
		arrives = false; status = 422;
	};
	add {
		name = "POST to /" .. word .. " of a user of the host"; token = "host"; path = "/other/" .. word; body = "The hook was called";
		arrives = { body = "The hook was called"; at = "other@example.com" };
		answer = { message = "The hook was called" };
	};
end

-- "Message templating": Go's templates cannot be filled in here, and are not sent unfilled.

add {
	name = "a template for a webhook of Grafana is refused"; path = "/mytopic";
	query = "tpl=1&t=" .. escape("{{.title}}")
		.. "&m=" .. escape("{{range .alerts}}{{.annotations.summary}}\\n\\nValues:\\n{{range $k,$v := .values}}- {{$k}}={{$v}}\\n{{end}}{{end}}");
	headers = { ["Content-Type"] = "application/json" };
	body = [[{"status": "resolved", "title": "[RESOLVED] Load", "alerts": [
		{"annotations": {"summary": "Load is high"}, "values": {"B": 18.9, "C": 0}}]}]];
	arrives = false; status = 422;
};
add {
	name = "a template for a short JSON is refused"; path = "/mytopic";
	query = "tpl=yes&t={{.host}}:+A+{{.error.level}}+error&m=What+failed:+{{.error.desc}}";
	body = [[{"host": "db1", "error": {"level": "severe", "desc": "The disk is full"}}]];
	arrives = false; status = 422;
};
for _, name in ipairs { "X-Template", "Template", "tpl" } do
	add {
		name = "a template is refused, by the header " .. name; path = "/mytopic"; headers = { [name] = "yes"; Message = "{{.a}}" }; body = [[{"a": 1}]];
		arrives = false; status = 422;
	};
end

-- "Publish as JSON"

local everything = [[{
	"topic": "mytopic",
	"message": "The shelf is full, 3 books are left",
	"title": "A full shelf",
	"tags": ["warning","cd"],
	"priority": 4,
	"attach": "https://shelf.example.com/now.jpg",
	"filename": "shelf.jpg",
	"click": "https://camera.example.com/1/",
	"actions": [{ "action": "view", "label": "All shelves", "url": "https://shelf.example.com/all" }]
}]];
for _, how in ipairs {
	{ "POST", "", "application/x-www-form-urlencoded" }, { "POST", "/", "application/json" }, { "PUT", "/", "application/json" },
	{ "POST", "/", "text/plain" }, { "POST", "/", false },
} do
	add {
		name = ("JSON with most members, by %s to the root %q, with %s"):format(how[1], how[2], how[3] or "no Content-Type");
		method = how[1]; path = how[2]; topic = "mytopic"; headers = { ["Content-Type"] = how[3] }; body = everything;
		arrives = {
			body = "⚠️ 💿 A full shelf\nThe shelf is full, 3 books are left\nAll shelves: https://shelf.example.com/all\nhttps://camera.example.com/1/";
			oob_url = "https://shelf.example.com/now.jpg";
		};
		answer = {
			message = "The shelf is full, 3 books are left"; title = "A full shelf"; priority = 4; tags = { "warning", "cd" };
			click = "https://camera.example.com/1/";
		};
	};
end
add {
	name = "JSON with a topic alone"; path = ""; topic = "mytopic"; body = [[{"topic": "mytopic"}]];
	arrives = { body = "triggered" };
	answer = { message = "triggered" };
};
add {
	name = "JSON without a topic, where the token names the recipient"; path = ""; topic = false; body = [[{"message": "It is done"}]];
	arrives = { body = "It is done" };
	answer = { message = "It is done" };
};
add {
	name = "JSON without a topic, where the token does not name the recipient"; token = "host"; path = ""; body = [[{"message": "It is done"}]];
	arrives = false; status = 422;
};
add {
	name = "JSON with a topic that is a user of the host"; token = "host"; path = ""; topic = "other";
	body = [[{"topic": "other", "message": "It is done"}]];
	arrives = { body = "It is done"; at = "other@example.com" };
	answer = { message = "It is done" };
};
add {
	name = "JSON with a topic that is an address"; token = "host"; path = ""; topic = "other@example.com";
	body = [[{"topic": "other@example.com", "message": "It is done"}]];
	arrives = { body = "It is done"; at = "other@example.com" };
	answer = { message = "It is done" };
};
add {
	name = "JSON with a title in a header and a priority in the query"; path = ""; topic = "mytopic"; headers = { Title = "House 7" }; query = "p=5";
	body = [[{"topic": "mytopic", "message": "It is done"}]];
	arrives = { body = "❗ House 7\nIt is done" };
	answer = { message = "It is done"; title = "House 7"; priority = 5 };
};
add {
	name = "members of the JSON count before headers and the query"; path = ""; topic = "mytopic";
	headers = { Title = "lost"; Tags = "lost"; ["X-Click"] = "https://lost.example.com/" }; query = "p=5";
	body = [[{"topic": "mytopic", "message": "It is done", "title": "House 7", "tags": ["tada"], "priority": 2, "click": "https://house.example.com/"}]];
	arrives = { body = "🎉 House 7\nIt is done\nhttps://house.example.com/" };
	answer = { message = "It is done"; title = "House 7"; tags = { "tada" }; priority = 2; click = "https://house.example.com/" };
};
add {
	name = "JSON with a delay in a header is refused"; path = ""; headers = { In = "1h" }; body = [[{"topic": "mytopic", "message": "no"}]];
	arrives = false; status = 422;
};
add {
	name = "JSON with lines in its message and in its title"; path = ""; topic = "mytopic";
	body = [[{"topic": "mytopic", "message": "one\ntwo\n\nthree", "title": "House\n7"}]];
	arrives = { body = "House 7\none\ntwo\n\nthree" };
	answer = { message = "one\ntwo\n\nthree"; title = "House\n7" };
};
add {
	name = "JSON at the root that is broken is refused"; path = ""; headers = { ["Content-Type"] = "application/json" }; body = [[{"topic": "mytopic"]];
	arrives = false; status = 400;
};
for _, content_type in ipairs { "application/json", "application/x-www-form-urlencoded", "text/plain" } do
	add {
		name = "JSON at a topic is text, with " .. content_type; path = "/mytopic"; headers = { ["Content-Type"] = content_type };
		body = [[{"message": "It is done", "title": "House 7"}]];
		arrives = { body = [[{"message": "It is done", "title": "House 7"}]] };
		answer = { message = [[{"message": "It is done", "title": "House 7"}]] };
	};
end
add {
	name = "JSON at a topic is JSON with ?as=ntfy"; path = "/mytopic"; query = "as=ntfy"; topic = false;
	headers = { ["Content-Type"] = "application/json" }; body = [[{"message": "It is done", "title": "House 7"}]];
	arrives = { body = "House 7\nIt is done" };
	answer = { message = "It is done"; title = "House 7" };
};

-- "Action buttons"

local two = "It is cold in the hall. Close the window?";
add {
	name = "two actions in a header"; path = "/myhome";
	headers = {
		Actions = "view, Open the plan, https://home.example.com/, clear=true;                 "
			.. [[http, Close, https://api.example.com/, body='{"degrees": 18}']];
	};
	body = two;
	arrives = { body = two .. "\nOpen the plan: https://home.example.com/" };
	answer = { message = two };
};
add {
	name = "two actions in JSON"; path = "/"; topic = "myhome"; headers = { ["Content-Type"] = "application/json" };
	body = [[{"topic": "myhome", "message": "It is cold in the hall. Close the window?", "actions": [
		{"action": "view", "label": "Open the plan", "url": "https://home.example.com/", "clear": true},
		{"action": "http", "label": "Close", "url": "https://api.example.com/", "headers": {"Authorization": "Bearer 1"}, "body": "{\"degrees\": 18}"}]}]];
	arrives = { body = two .. "\nOpen the plan: https://home.example.com/" };
	answer = { message = two };
};
for name, actions in each {
	["one to view in a header"] = "view, Open the post, https://posts.example.com/post/1467633927951163392";
	["one in the long format"] = "action=view, label=Open the post, url=https://posts.example.com/post/1467633927951163392";
	["one in another order"] = "url=https://posts.example.com/post/1467633927951163392, label=Open the post, action=view";
	["one as JSON in a header"] = [=[[{"action": "view", "label": "Open the post",]=]
		.. [=["url": "https://posts.example.com/post/1467633927951163392", "clear": false}]]=];
	["one with capital letters"] = "VIEW, Open the post, https://posts.example.com/post/1467633927951163392";
	["one with a semicolon at the end"] = "view, Open the post, https://posts.example.com/post/1467633927951163392, clear=true;";
	["one in quotes"] = [[view, "Open the post", 'https://posts.example.com/post/1467633927951163392']];
	["one beside one without an address"] = "view, Open the post, https://posts.example.com/post/1467633927951163392; broadcast, Shout, extras.cmd=pic";
} do
	local body = "A post was shared.";
	local arrives = { body = "A post was shared.\nOpen the post: https://posts.example.com/post/1467633927951163392" };
	add { name = "actions: " .. name; path = "/myhome"; headers = { Actions = actions }; body = body; arrives = arrives; answer = { message = body } };
	add {
		name = "actions: " .. name .. ", but in the query"; path = "/myhome"; query = "actions=" .. escape(actions); body = body;
		arrives = arrives; answer = { message = body };
	};
end
for name, example in each {
	["three"] = {
		"view, One, https://a.example.com/; view, Two, https://b.example.com/; view, Three, https://c.example.com/";
		"One: https://a.example.com/\nTwo: https://b.example.com/\nThree: https://c.example.com/";
	};
	["three as JSON in a header"] = {
		[=[[{"action":"view","label":"One","url":"https://a.example.com/"},{"action":"http","label":"Two",]=]
			.. [=["url":"https://b.example.com/"},{"action":"view","label":"Three","url":"https://c.example.com/"}]]=];
		"One: https://a.example.com/\nThree: https://c.example.com/";
	};
	["commas and semicolons in quotes"] = {
		[[view, "One, two; three", "https://a.example.com/?x=1,2;3"; view, Four, https://b.example.com/]];
		"One, two; three: https://a.example.com/?x=1,2;3\nFour: https://b.example.com/";
	};
	["quotes in quotes"] = { [[view, "The \"new\" plan", https://a.example.com/]], [[The "new" plan: https://a.example.com/]] };
	["quotes of the other kind"] = { [[view, 'The "new" plan', https://a.example.com/]], [[The "new" plan: https://a.example.com/]] };
	["letters beyond ASCII"] = { "view, Übersicht 🏠, https://a.example.com/", "Übersicht 🏠: https://a.example.com/" };
	["an address to write to"] = { "view, Write, mailto:box@mail.example.com", "Write: mailto:box@mail.example.com" };
	["a place"] = { "view, Map, 'geo:0,0?q=1+Long+Road,+Town'", "Map: geo:0,0?q=1+Long+Road,+Town" };
	["an address with a query"] = { "view, Find, https://a.example.com/?q=a=b&c=http://x", "Find: https://a.example.com/?q=a=b&c=http://x" };
} do
	add {
		name = "actions: " .. name; path = "/myhome"; headers = { Actions = example[1] }; body = "A post was shared.";
		arrives = { body = "A post was shared.\n" .. example[2] };
		answer = { message = "A post was shared." };
	};
end
for name, actions in each {
	["one without an address"] = "view, Open";
	["one of an unknown kind"] = "dance, Open, https://a.example.com/";
	["broken JSON"] = [=[[{"action": "view", "label": "Open"]=];
} do
	add {
		name = "actions: " .. name .. " does not hold the message up"; path = "/myhome"; headers = { Actions = actions }; body = "A post was shared.";
		arrives = { body = "A post was shared." };
		answer = { message = "A post was shared." };
	};
end
for name, example in each {
	["view"] = {
		"view, Open the post, https://posts.example.com/1"; [[{"action": "view", "label": "Open the post", "url": "https://posts.example.com/1"}]];
		"\nOpen the post: https://posts.example.com/1";
	};
	["broadcast"] = {
		"broadcast, Take a picture, extras.cmd=pic, extras.camera=front";
		[[{"action": "broadcast", "label": "Take a picture", "extras": {"cmd": "pic", "camera": "front"}}]]; "";
	};
	["http"] = {
		[[http, Close the gate, https://api.example.com/, method=PUT, headers.Authorization=Bearer 1, body={\"action\": \"close\"}]];
		[[{"action": "http", "label": "Close the gate", "url": "https://api.example.com/", "method": "PUT",
			"headers": {"Authorization": "Bearer 1"}, "body": "{\"action\": \"close\"}"}]];
		"";
	};
} do
	add {
		name = "the action " .. name .. " in a header"; path = "/myhome"; headers = { Actions = example[1] }; body = "The gate is open";
		arrives = { body = "The gate is open" .. example[3] };
		answer = { message = "The gate is open" };
	};
	add {
		name = "the action " .. name .. " in JSON"; path = ""; topic = "myhome";
		body = ([[{"topic": "myhome", "message": "The gate is open", "actions": [%s]}]]):format(example[2]);
		arrives = { body = "The gate is open" .. example[3] };
		answer = { message = "The gate is open" };
	};
end

-- "Click action"

for click, line in each {
	["https://posts.example.com/message/messages"] = "https://posts.example.com/message/messages";
	["mailto:box@mail.example.com"] = "mailto:box@mail.example.com";
	["geo:0,0?q=1+Long+Road,+Town"] = "geo:0,0?q=1+Long+Road,+Town";
	["ntfy://ntfy.example.com/stats"] = "ntfy://ntfy.example.com/stats";
} do
	add {
		name = "an address to click, " .. click; path = "/post_alerts"; headers = { Click = click }; body = "Two posts are new";
		arrives = { body = "Two posts are new\n" .. line };
		answer = { message = "Two posts are new"; click = click };
	};
end

-- A value may be an address with a query, whose names are parameters of ntfy too.
for _, query in ipairs { "?t=90", "?a=b", "?p=5", "?m=1&t=2", "?file=/etc/hosts", "?in=1h", "?b=1&a=2", "?title" } do
	add {
		name = "an address to click whose own query is " .. query; path = "/post_alerts";
		query = "click=" .. escape("https://posts.example.com/" .. query); body = "Two posts are new";
		arrives = { body = "Two posts are new\nhttps://posts.example.com/" .. query };
		answer = { message = "Two posts are new"; click = "https://posts.example.com/" .. query };
	};
	add {
		name = "an attachment whose own query is " .. query; path = "/post_alerts";
		query = "attach=" .. escape("https://posts.example.com/" .. query); body = "Two posts are new";
		arrives = { body = "Two posts are new"; oob_url = "https://posts.example.com/" .. query };
		answer = { message = "Two posts are new" };
	};
end
add {
	name = "a message in the query that has a question mark"; token = "get"; method = "GET"; path = "/post_alerts/publish";
	query = "message=" .. escape("Is it true?t=1 and ?p=5") .. "&title=" .. escape("New?m");
	arrives = { body = "New?m\nIs it true?t=1 and ?p=5" };
	answer = { message = "Is it true?t=1 and ?p=5"; title = "New?m" };
};

-- "Attachments"

for name, case in each {
	["by PUT with a name in a header"] = { method = "PUT"; headers = { Filename = "flower.png" } };
	["by PUT with a name in the query"] = { method = "PUT"; query = "f=flower.png" };
	["by PUT without a name"] = { method = "PUT" };
	["by PUT with its media type"] = { method = "PUT"; headers = { ["Content-Type"] = "image/png" } };
	["by POST as curl --data-binary sends it"] = { headers = { ["Content-Type"] = "application/x-www-form-urlencoded" } };
	["by POST to /publish"] = { path = "/flowers/publish"; headers = { ["X-Filename"] = "flower.png" } };
	["with up=1, which is ignored"] = { query = "up=1" };
} do
	case.name, case.path, case.body = "a picture " .. name, case.path or "/flowers", png;
	local named = case.query == "f=flower.png" or case.headers and (case.headers.Filename or case.headers["X-Filename"]);
	case.arrives = { file = { name = named and "flower.png" or nil; content = png } };
	case.answer = {};
	add(case);
end
add {
	name = "a picture with a message"; method = "PUT"; path = "/flowers";
	headers = { Filename = "flower.png"; Message = "It blooms\\nat last" }; body = png;
	arrives = { body = "It blooms\nat last"; file = { name = "flower.png"; content = png } };
	answer = { message = "It blooms\nat last" };
};
add {
	name = "a picture with a message, a title, tags and the highest priority"; method = "PUT"; path = "/flowers";
	headers = { Filename = "flower.png"; Title = "Garden"; Tags = "tada,bed3"; Priority = "5" }; query = "m=It+blooms"; body = png;
	arrives = { body = "❗ 🎉 Garden\nIt blooms\n#bed3"; file = { name = "flower.png"; content = png } };
	answer = { message = "It blooms"; title = "Garden"; tags = { "tada", "bed3" }; priority = 5 };
};
add {
	name = "a file whose name is in RFC 2047"; method = "PUT"; path = "/flowers"; headers = { Filename = "=?UTF-8?B?w5xiZXJzaWNodC50eHQ=?=" };
	body = "Roses";
	arrives = { file = { name = "Übersicht.txt"; content = "Roses" } };
	answer = {};
};
add {
	name = "bytes that are no UTF-8, and no picture"; path = "/flowers"; body = "a\255\254\0b";
	arrives = { file = { content = "a\255\254\0b" } };
	answer = {};
};
add {
	name = "a file with a delay is refused"; method = "PUT"; path = "/flowers"; headers = { Filename = "flower.png"; In = "1h" }; body = png;
	arrives = false; status = 422;
};
add {
	name = "an attachment by its address, without a body"; path = "/mydownloads"; body = "";
	headers = { Attach = "https://files.example.com/Reader.apk" };
	arrives = { body = "triggered"; oob_url = "https://files.example.com/Reader.apk" };
	answer = { message = "triggered" };
};
add {
	name = "an attachment by its address, with a name"; path = "/mydownloads"; body = "The reader is out";
	headers = { Attach = "https://files.example.com/Reader.apk"; Filename = "r.apk" };
	arrives = { body = "The reader is out"; oob_url = "https://files.example.com/Reader.apk" };
	answer = { message = "The reader is out" };
};
add {
	name = "an attachment that is no address"; path = "/mydownloads"; body = "The reader is out"; headers = { Attach = "see shelf 3" };
	arrives = { body = "The reader is out\nsee shelf 3" };
	answer = { message = "The reader is out" };
};

-- "Icons"

add {
	name = "an icon, a title and an emoji"; path = "/tvshows";
	headers = { Icon = "https://pictures.example.com/icon.png"; Title = "Player: goes on"; Tags = "arrow_forward" }; body = "The Garden, S01E01";
	arrives = { body = "▶️ Player: goes on\nThe Garden, S01E01" };
	answer = { message = "The Garden, S01E01"; title = "Player: goes on"; tags = { "arrow_forward" } };
};

-- "E-mail notifications" and "Phone calls"

add {
	name = "an e-mail address, tags and a priority"; path = "/alerts";
	headers = { Email = "box@mail.example.com"; Tags = "warning,skull,backup-host,ssh-login"; Priority = "high" };
	body = "An unknown login from 192.0.2.7";
	arrives = { body = "⚠️ 💀 An unknown login from 192.0.2.7\n#backup-host #ssh-login" };
	answer = { message = "An unknown login from 192.0.2.7"; priority = 4; tags = { "warning", "skull", "backup-host", "ssh-login" } };
};
add {
	name = "an e-mail address in the query, as it was typed"; path = "/alerts"; query = "email=box@mail.example.com"; body = "A letter is there";
	arrives = { body = "A letter is there" };
	answer = { message = "A letter is there" };
};
for _, value in ipairs { "+15550100", "yes" } do
	add {
		name = "a phone call, " .. value; path = "/alerts"; credentials = "basic without a name"; headers = { Call = value }; body = "The shed is on fire";
		arrives = { body = "The shed is on fire" };
		answer = { message = "The shed is on fire" };
	};
end

-- "Message caching", "Disable Firebase" and "UnifiedPush"

for _, name in ipairs { "X-Cache", "Cache", "X-Firebase", "Firebase" } do
	add {
		name = name .. ": no"; path = "/mytopic"; headers = { [name] = "no" }; body = "This stays among us";
		arrives = { body = "This stays among us" };
		answer = { message = "This stays among us" };
	};
end
add {
	name = "UnifiedPush with a text"; path = "/upTopic"; query = "up=1"; headers = { ["Content-Type"] = "application/octet-stream" }; body = "pushed";
	arrives = { body = "pushed" };
	answer = { message = "pushed" };
};

-- RFC 2047 and line ends in headers.

for name, example in each {
	["Base64"] = { "=?UTF-8?B?8J+OgiBLdWNoZW4=?=", "🎂 Kuchen" };
	["quoted-printable"] = { "=?UTF-8?Q?=C3=84pfel_und_Birnen?=", "Äpfel und Birnen" };
	["small letters"] = { "=?utf-8?q?=c3=84pfel?=", "Äpfel" };
	["two words"] = { "=?UTF-8?Q?=C3=84p?= =?UTF-8?B?ZmVs?=", "Äpfel" };
	["a word among others"] = { "Two =?UTF-8?Q?=C3=84pfel?= here", "Two Äpfel here" };
	["another charset"] = { "=?ISO-8859-1?Q?=C4pfel?=", "Äpfel" };
	["plain UTF-8"] = { "Äpfel 🍎", "Äpfel 🍎" };
	["what only looks like it"] = { "=?UTF-8?B?", "=?UTF-8?B?" };
} do
	add {
		name = "a title in RFC 2047: " .. name; path = "/fruit"; headers = { Title = example[1] }; body = "Ripe";
		arrives = { body = example[2] .. "\nRipe" };
		answer = { message = "Ripe"; title = example[2] };
	};
	add {
		name = "a message in RFC 2047: " .. name; path = "/fruit"; headers = { ["X-Message"] = example[1] }; body = "";
		arrives = { body = example[2] };
		answer = { message = example[2] };
	};
end
add {
	name = "tags in RFC 2047, one by one"; path = "/fruit"; headers = { Tags = "tada,=?UTF-8?Q?=C3=84pfel?=,=?UTF-8?B?ZGIx?=" }; body = "Ripe";
	arrives = { body = "🎉 Ripe\n#Äpfel #db1" };
	answer = { message = "Ripe"; tags = { "tada", "Äpfel", "db1" } };
};
add {
	name = "tags in RFC 2047, together"; path = "/fruit"; headers = { Tags = "=?UTF-8?Q?tada,=C3=84pfel?=" }; body = "Ripe";
	arrives = { body = "🎉 Ripe\n#Äpfel" };
	answer = { message = "Ripe"; tags = { "tada", "Äpfel" } };
};
add {
	name = "actions in RFC 2047"; path = "/fruit"; headers = { Actions = "=?UTF-8?Q?view, =C3=84pfel, https://fruit.example.com/?=" }; body = "Ripe";
	arrives = { body = "Ripe\nÄpfel: https://fruit.example.com/" };
	answer = { message = "Ripe" };
};
add {
	name = "RFC 2047 in the query and in the body stays as it is"; path = "/fruit"; query = "t=" .. escape("=?UTF-8?Q?=C3=84?=");
	body = "=?UTF-8?Q?=C3=84?=";
	arrives = { body = "=?UTF-8?Q?=C3=84?=\n=?UTF-8?Q?=C3=84?=" };
	answer = { message = "=?UTF-8?Q?=C3=84?="; title = "=?UTF-8?Q?=C3=84?=" };
};
add {
	name = "\\n in a message of a header is a line end"; path = "/fruit"; headers = { Message = "one\\ntwo\\n\\nthree" }; body = "";
	arrives = { body = "one\ntwo\n\nthree" };
	answer = { message = "one\ntwo\n\nthree" };
};
add {
	name = "\\n in a message of the query is a line end"; token = "get"; method = "GET"; path = "/fruit/send"; query = "message=one%5Cntwo%0Athree";
	arrives = { body = "one\ntwo\nthree" };
	answer = { message = "one\ntwo\nthree" };
};
add {
	name = "\\n in a body stays as it is"; path = "/fruit"; body = "C:\\new\nnext line";
	arrives = { body = "C:\\new\nnext line" };
	answer = { message = "C:\\new\nnext line" };
};
add {
	name = "\\n in a title stays as it is"; path = "/fruit"; headers = { Title = "C:\\new" }; body = "Ripe";
	arrives = { body = "C:\\new\nRipe" };
	answer = { message = "Ripe"; title = "C:\\new" };
};

-- Bodies.

add {
	name = "no body and no message"; path = "/mytopic"; body = "";
	arrives = { body = "triggered" };
	answer = { message = "triggered" };
};
add {
	name = "no body, but a title, tags and the highest priority"; path = "/mytopic";
	headers = { Title = "House 7"; Tags = "skull"; Priority = "5" }; body = "";
	arrives = { body = "❗ 💀 House 7\ntriggered" };
	answer = { message = "triggered"; title = "House 7"; tags = { "skull" }; priority = 5 };
};
add {
	name = "a body counts before the message of a header"; path = "/mytopic"; headers = { Message = "lost" }; body = "It is done";
	arrives = { body = "It is done" };
	answer = { message = "It is done" };
};
add {
	name = "a header counts before the query"; path = "/mytopic"; headers = { t = "House 7" }; query = "x-title=lost"; body = "It is done";
	arrives = { body = "House 7\nIt is done" };
	answer = { message = "It is done"; title = "House 7" };
};
add {
	name = "a longer name counts before a shorter one"; path = "/mytopic";
	headers = { ["X-Title"] = "House 7"; Title = "lost"; t = "lost too" }; body = "It is done";
	arrives = { body = "House 7\nIt is done" };
	answer = { message = "It is done"; title = "House 7" };
};
add {
	name = "an empty header does not hide another one"; path = "/mytopic"; headers = { ["X-Title"] = ""; Title = "House 7" }; body = "It is done";
	arrives = { body = "House 7\nIt is done" };
	answer = { message = "It is done"; title = "House 7" };
};
add {
	name = "an empty delay does not count"; path = "/mytopic"; headers = { Delay = "" }; query = "in="; body = "It is done";
	arrives = { body = "It is done" };
	answer = { message = "It is done" };
};
add {
	name = "white space around a body is dropped"; path = "/mytopic"; body = "\n  It is\n  done \n\n";
	arrives = { body = "It is\n  done" };
	answer = { message = "It is\n  done" };
};
add {
	name = "a body with the signs of a form is text"; path = "/mytopic"; body = "a=1&b=50%+more&title=x";
	arrives = { body = "a=1&b=50%+more&title=x" };
	answer = { message = "a=1&b=50%+more&title=x" };
};
add {
	name = "a body with the signs of XML and of a template is text"; path = "/mytopic"; body = "<b>{{ 1 }}</b> & {% raw %} 'x' \"y\" ]]>";
	arrives = { body = "<b>{{ 1 }}</b> & {% raw %} 'x' \"y\" ]]>" };
	answer = { message = "<b>{{ 1 }}</b> & {% raw %} 'x' \"y\" ]]>" };
};
for _, content_type in ipairs {
	"text/html", "application/octet-stream", "image/png", "message/rfc822", "multipart/form-data; boundary=B", "application/xml", "nonsense",
	"application/x-ndjson",
} do
	add {
		name = "a text is a text with the Content-Type " .. content_type; path = "/mytopic"; headers = { ["Content-Type"] = content_type };
		body = "<p>It is done</p>";
		arrives = { body = "<p>It is done</p>" };
		answer = { message = "<p>It is done</p>" };
	};
end
local long = ("A line of the list of all books, with ten words\n"):rep(120);
add {
	name = "a body of more than 4096 bytes"; path = "/mytopic"; headers = { Title = "Books" }; body = long;
	arrives = { body = "Books\n" .. long:sub(1, -2) };
	answer = { message = long:sub(1, -2); title = "Books" };
};

-- Topics.

for _, topic in ipairs { "a", "Backup_of-db1", "other", "nobody", "publish", ("t"):rep(64) } do
	add {
		name = "any topic goes to the token's recipient: " .. topic; path = "/" .. topic; body = "It is done";
		topic = topic ~= "publish" and topic;
		arrives = { body = "It is done" };
		answer = { message = "It is done" };
	};
end
for topic, at in each { user = "user@example.com", other = "other@example.com", ["other@example.com"] = "other@example.com" } do
	for _, method in ipairs { "POST", "PUT" } do
		add {
			name = ("a topic that is a recipient, %s, by %s"):format(topic, method); token = "host"; method = method; path = "/" .. topic;
			headers = { Title = "House 7" }; body = "It is done";
			arrives = { body = "House 7\nIt is done"; at = at };
			answer = { message = "It is done"; title = "House 7" };
		};
	end
end
add {
	name = "a topic that nobody has"; token = "host"; path = "/nobody"; body = "It is done";
	arrives = false; status = 404;
};
add {
	name = "a topic that the token may not send to"; token = "two"; path = "/other"; body = "It is done";
	arrives = false; status = 403;
};
add {
	name = "a topic that is one of two recipients of the token"; token = "two"; path = "/user"; body = "It is done";
	arrives = { body = "It is done" };
	answer = { message = "It is done" };
};
for _, accept in ipairs { "application/json", "*/*", "text/plain", "application/problem+json" } do
	add {
		name = "a refusal in ntfy's form with Accept: " .. accept; path = "/house"; headers = { Accept = accept; In = "1h" }; body = "no";
		arrives = false; status = 422;
	};
	add {
		name = "an answer in ntfy's form with Accept: " .. accept; path = "/house"; headers = { Accept = accept }; body = "It is done";
		arrives = { body = "It is done" };
		answer = { message = "It is done" };
	};
	add {
		name = "a bounce in ntfy's form with Accept: " .. accept; token = "host"; path = "/nobody"; headers = { Accept = accept }; body = "It is done";
		arrives = false; status = 404;
	};
end
add {
	name = "a topic that is no address"; token = "host"; path = "/a%20%22b"; body = "It is done";
	arrives = false; status = 422;
};

return cases;
