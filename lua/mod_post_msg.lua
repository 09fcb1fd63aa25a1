-- mod_post_msg: sends XMPP messages that are posted over HTTP.
--
-- This file has the routes and the lifecycle of the module, nothing else. The other files, from the top down; each imports only
-- files below it, on its first lines, and has a table of functions (`make check` finds a circle):
--
--   handler          the way of a request: framing, origin, credentials, answer
--   page_files       the page at GET /msg, and the description of what is served
--   dry_run          what a request would send: POST /msg/@try
--   token_requests   the tokens of an account over HTTP: POST /msg/@tokens
--   commands         the same tokens in a chat client (XEP-0050); command_texts: its texts
--   account_tokens   what an account does with its own tokens
--   host_tokens      the tokens of this host, in a token_store; token_spec: what a token may be; token_rows: how one is shown;
--                    token_rates: how many messages one may send
--   auth             credentials → sender; passwords, sender_tokens, bearer_tokens: one kind of credentials each; senders, accounts:
--                    who may send
--   idempotency      a repeated request is answered as the first time; key_store: what is kept for that
--   uploads          files → an upload service (XEP-0363)
--   delivery         a message → Prosody → its outcome; rooms: the same for rooms (XEP-0045)
--   compose          a request → its messages, by the native half
--   scheduler        waits, and long work in slices
--   host, native     the native half: src/binding.rs; feed: long texts for it, in pieces
--   prosodyctl       the command `prosodyctl mod_post_msg`, in a process of its own; check, prosodyctl_tokens, prosodyctl_templates:
--                    its parts

-- Loads a file of this module once on each host. A file that imports itself, through others, is a defect.
local imported = {};
function module.import(name)
	local file = imported[name];
	if file == nil then
		imported[name] = false;
		file = module:require(name);
		imported[name] = file;
	end
	return file or error("a circle of imports leads to "..name);
end

if prosody.process_type == "prosodyctl" then
	module.command = module.import "prosodyctl".command;
	return;
end

module:depends("http");

local array = require "util.array";

local commands = module.import "commands";
local config = module.import "config";
local dry_run = module.import "dry_run";
local handler = module.import "handler";
local host = module.import "host";
local key_store = module.import "key_store";
local metrics = module.import "metrics";
local page_files = module.import "page_files";
local passwords = module.import "passwords";
local rooms = module.import "rooms";
local scheduler = module.import "scheduler";
local server = module.import "prosody";
local templates = module.import "templates";
local token_requests = module.import "token_requests";
local tokens = module.import "host_tokens";

if config.auth_mechanisms:contains("Token") then
	commands.provide_all();
end

local get = handler.answering(page_files.get);

-- Expired tokens are deleted on lookup; this timer deletes the rest once a day.
scheduler.add_timer(60 * 60, function ()
	tokens:tidy();
	return 24 * 60 * 60;
end);

local routes = {
	["POST"] = handler.post; ["POST /*"] = handler.post;
	["POST /@try"] = handler.answering(handler.identified(dry_run.try));
	["POST /@tokens"] = handler.answering(handler.identified(token_requests.manage));
};
for _, path in ipairs(page_files.paths) do
	routes["GET"..path], routes["HEAD"..path] = get, get;
end
-- mod_http has a handler of OPTIONS for every path that has none.
local options = {};
for route in pairs(routes) do options[route:gsub("^%u+", "OPTIONS")] = handler.options; end
for route, handle in pairs(options) do routes[route] = handle; end

module:provides("http", {
	default_path = "/msg";
	streaming_uploads = true;
	route = routes;
	cors = config.allow_origins and {
		enabled = true; origins = array.collect(config.allow_origins:items());
		headers = { Authorization = true; ["Content-Type"] = true; ["Idempotency-Key"] = true; Prefer = true };
	};
});

local place = " "..module:get_option_string("http_host", module.host)..server.base_path(module.host);
server.hook_unrouted(function (event_name, event)
	local method, rest = event_name:match("^(%w+)(.*)$");
	if method and rest:sub(1, #place) == place and (rest == place or rest:sub(#place + 1, #place + 1) == "/") then
		return handler.refuse_method(event);
	end
end);

local count_renderings = metrics.counter("templates");
local reset_metrics = metrics.show({
	derivations_waiting = passwords.count_derivations; requests_waiting = scheduler.count; rooms_joined = rooms.count_joined; keys = key_store.count;
	tokens = function () return tokens:count(); end;
}, function ()
	for name, count in pairs(templates:renderings()) do
		count_renderings(count.rendered, name, "rendered");
		count_renderings(count.failed, name, "failed");
	end
end);

local function stop_all()
	scheduler.stop();
	rooms.stop();
end

module:hook_global("server-stopping", stop_all, 100);
function module.save()
	return { unstored = key_store.save() };
end
function module.restore(saved)
	if saved.unstored then key_store.restore(saved.unstored); end
end
function module.unload()
	stop_all();
	reset_metrics();
	host:close();
end
