-- mod_post_msg: sends XMPP messages that are posted over HTTP.
--
-- This file has only the routes and the lifecycle of the module. The list shows the other files, from the top down: each imports only
-- files below it, on its first lines, and returns a table of functions. `make check` compares this map with the imports.
--
-- HTTP requests
--   handler                                  a request from Prosody's HTTP server to its answer
--   dry_run, commands, token_requests        requests of the page and commands of chat clients (XEP-0050)
--   page_files, json_answer                  files of the page; its answers
--   framing, long_answer, connections        the request's body; answers in pieces; connections while requests wait
--   incoming                                 the bytes of connections before Prosody's parser: chunked bodies, Expect
--
-- Messages
--   sending                                  all messages of a request, and the answer
--   compose                                  reads the messages of a request, by the native half
--   delivery, new_servers                    routes a message, receives its bounce or receipt
--   rooms, occupant, room_events             the same for rooms (XEP-0045)
--   occupants, nicknames, room_messages      senders in rooms, their nicknames and messages
--   outcome_list, outcomes                   the result of each message
--   uploads, upload_request, upload_slot, upload_service   files to an upload service (XEP-0363)
--   sessions, host_events                    a session for a sender; events of hosts
--   idempotency, key_store, key_index, key_owners   answers of repeated requests
--
-- Credentials
--   account_tokens                           an account's own sending tokens
--   auth                                     credentials to their sender
--   sender_tokens, bearer_tokens, passwords  each kind of credentials
--   auth_problems, senders, accounts         why there is no sender; who may send; which accounts exist
--   host_tokens                              the sending tokens of this host
--
-- The command prosodyctl, in a process of its own
--   prosodyctl, prosodyctl_start, prosodyctl_tokens, prosodyctl_templates
--   check, findings                          its command `check`
--   prosodyctl_hosts                         the hosts with this module
--   reachability, endpoints                  which URLs work, and how to mend the others
--   http_client, http_settings               requests of these commands; settings of Prosody's HTTP server
--   command_line                             usage and options
--
-- Sending tokens
--   token_store, token_index, token_uses     where they are stored
--   token_spec, token_rows, token_rates      rules for their fields; texts to show them; limits of messages a minute
--   command_texts                            texts of the forms, in each language
--
-- Used by all files above
--   feed, scheduler, turns                   waits, and long work in slices of the event loop
--   host, templates, native                  the native half: src/binding.rs
--   config, settings, loader                 the settings of this host; declarations of settings; finds the native half
--   request_log, metrics, counters           logs and metrics for administrators; counts for the tests
--   guard, workers, store                    calls that may raise errors; concurrent work; storage
--   problems                                 why a request is refused or a message failed
--   expiring_cache, rates, queue             data structures
--   loopback, display                        addresses of this machine; foreign texts on one line
--   prosody                                  everything that is private to Prosody

-- Loads a file of this module once on each host. A circle of imports is a defect.
local files = {};
function module.import(name)
	local file = files[name];
	if file == nil then
		files[name] = false;
		file = module:require(name);
		files[name] = file;
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
local incoming = module.import "incoming";
local key_store = module.import "key_store";
local metrics = module.import "metrics";
local page_files = module.import "page_files";
local passwords = module.import "passwords";
local rooms = module.import "rooms";
local scheduler = module.import "scheduler";
local server = module.import "prosody";
local templates = module.import "templates";
local token_requests = module.import "token_requests";
local host_tokens = module.import "host_tokens";

if config.auth_mechanisms:contains("Token") then
	commands.provide_all();
end

local get = handler.new_handler(page_files.get);

-- Expired tokens are deleted on lookup; this timer deletes the rest once a day.
scheduler.add_timer(60 * 60, function ()
	host_tokens.own:tidy();
	return 24 * 60 * 60;
end);

local routes = {
	["POST"] = handler.post; ["POST /*"] = handler.post; ["PUT"] = handler.post; ["PUT /*"] = handler.post;
	["GET /*"] = handler.get; ["HEAD /*"] = handler.get;
	["POST /@try"] = handler.new_handler(handler.with_sender(dry_run.try));
	["POST /@tokens"] = handler.new_handler(handler.with_sender(token_requests.manage));
};
for _, path in ipairs(page_files.paths) do
	routes["GET"..path], routes["HEAD"..path] = get, get;
end
-- mod_http answers OPTIONS itself on each path without a handler for it.
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

local url_prefix = " "..module:get_option_string("http_host", module.host)..server.base_path(module.host);
local events = {};
for route in pairs(routes) do
	local method, path = route:match("^(%u+) ?(.*)$");
	events[#events + 1] = method..(url_prefix..path):gsub("^[^/]*$", "%0/");
end
incoming.open(events);

server.hook_unrouted(function (event_name, event)
	local method, rest = event_name:match("^(%w+)(.*)$");
	if method and rest:sub(1, #url_prefix) == url_prefix and (rest == url_prefix or rest:sub(#url_prefix + 1, #url_prefix + 1) == "/") then
		return handler.refuse_method(event);
	end
end);

local count_renderings = metrics.counter("templates");
local reset_metrics = metrics.show({
	derivations_waiting = passwords.count_derivations; requests_waiting = scheduler.count; rooms_joined = rooms.count_joined; keys = key_store.count;
	tokens = function () return host_tokens.own:count(); end;
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
	return { unstored = key_store.save(); incoming = incoming.save() };
end
function module.restore(saved)
	if saved.unstored then key_store.restore(saved.unstored); end
	if saved.incoming then incoming.restore(saved.incoming); end
end
function module.unload()
	stop_all();
	incoming.close();
	host_tokens.close();
	reset_metrics();
	host:close();
end
