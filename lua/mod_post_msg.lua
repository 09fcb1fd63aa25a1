-- mod_post_msg: sends XMPP messages that are posted over HTTP.
--
-- This file has the routes and the lifecycle of the module, nothing else. The other files, from the top down; each imports only files
-- below it, on its first lines, and returns a table of functions (`make check` compares the files with this map):
--
--   handler                   the handlers of HTTP requests: framing, origin, credentials, answer
--   dry_run                   shows what a request would send: POST /msg/@try
--   sending                   sends the messages of a request, and waits for their outcomes
--   delivery                  routes a message, and takes its bounce or receipt
--   token_requests            manages an account's sending tokens over HTTP: POST /msg/@tokens
--   commands, command_texts   manages them in a chat client (XEP-0050)
--   account_tokens            what an account may do with its own sending tokens
--   compose                   reads a request: its messages
--   auth                      credentials → sender
--   sender_tokens, passwords, bearer_tokens  one kind of credentials each
--   idempotency               answers a repeated request as the first time
--   key_store, key_index, key_owners  what is stored for that
--   uploads                   uploads the files of a request (XEP-0363)
--   upload_slot, upload_service, upload_request  finds the service; gets a slot; puts the file there
--   rooms                     sends a message to a room (XEP-0045), through the sender's occupant
--   room_events               takes what rooms send to occupants
--   occupant, occupants       a sender in a room; all of them, and their limits
--   nicknames, room_messages  the nicknames and the messages of occupants
--   outcome_list, outcomes    what became of the messages of a request; of all messages
--   feed                      hands a long text to the native half, in pieces
--   host_tokens               the sending tokens of this host
--   framing, long_answer, page_files, json_answer  reads and answers HTTP
--   scheduler                 waits of requests
--   turns                     turns of the event loop, which work in slices takes
--   connections               what Prosody leaves undone on connections of clients
--   host, templates           the native half's view of this host
--   prosodyctl                the command `prosodyctl mod_post_msg`, in a process of its own
--   prosodyctl_tokens, prosodyctl_templates, check, command_line, prosodyctl_hosts  its parts
--   token_store, token_index, token_uses, token_rates  sending tokens: where they are stored, and how much they may send
--   token_spec, token_rows    what a sending token may be, and how it is shown
--   auth_problems, senders, accounts  why a request has no sender; who may send
--   sessions, host_events, guard  what Prosody needs for a sender; events of other hosts; calls of other modules
--   new_servers, rates        limits of what an account may do in a minute
--   config, settings          the settings of this host; all settings
--   native, loader            the native half: src/binding.rs
--   store                     a store of this module, whose functions raise no errors
--   request_log, metrics, counters  what is logged and counted
--   problems                  why a request is refused, or a message has failed
--   prosody                   what is private to Prosody
--   display, queue, workers, expiring_cache, loopback  small tools

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
