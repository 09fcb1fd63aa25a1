-- mod_post_msg: sends XMPP messages that are posted over HTTP.
-- The module as Prosody sees it: its settings, its parts, its routes. Everything that is read is read by
-- the native half; everything that is sent goes through delivery.lib.lua.

if prosody.process_type == "prosodyctl" then
	module.command = module:require "prosodyctl";
	return;
end

module:depends("http");

local array = require "util.array";
local http_server = require "net.http.server";
local jid = require "util.jid";
local st = require "util.stanza";

local hosts = prosody.hosts;

local native_half = module:require "native";
local settings = module:require "settings".load(module, native_half.stop);

-- The paths under which mod_http serves an app, as it makes them of http_paths.
local function base_path()
	local normalize = require "util.http".normalize_path;
	local function configured(host)
		local paths = module:context(host):get_option("http_paths");
		return type(paths) == "table" and paths.post_msg or nil;
	end
	local path = normalize(configured(module.host) or configured("*") or "/msg");
	path = path:gsub("%$(%w+)", { host = module.host });
	return path == "/" and "" or path;
end

local base = base_path();

local native = native_half.load();
local templates = native.templates(settings.templates);

local core = native.new {
	host = module.host;
	base = base;
	size_limit = settings.size_limit;
	recipient_limit = settings.recipient_limit;
	batch_limit = settings.batch_limit;
	body_limit = module:context("*"):get_option_number("http_max_content_size", 10 * 1024 * 1024);
	auth_failures = settings.auth_failures;
	verify_threads = settings.verify_threads;
	templates = templates;
	stanza_metatable = getmetatable(st.stanza("message"));
	prep = jid.prep;
	serves = function (domain)
		return hosts[domain] ~= nil;
	end;
	has_rooms = function (domain)
		return hosts[domain] ~= nil and hosts[domain].modules.muc ~= nil;
	end;
};

local metrics = module:require "metrics";
local waiting = module:require "waiting" (core);
local rules = module:require "tokens";
local tokens = rules.open(module, native, settings.token_limit, waiting.in_slices);
local auth = module:require "auth" { settings = settings; native = native; core = core; waiting = waiting; tokens = tokens; metrics = metrics };
local delivery = module:require "delivery" (settings, waiting);
local keys = module:require "keys" (native, waiting, templates);
local uploads = module:require "uploads" { native = native; waiting = waiting; metrics = metrics; problem_of = delivery.problem_of };
local page; -- made below, with what reads requests

-- What a request's path says below the base path.
local function rest_of(request) --> string
	local rest = request.path:sub(#base + 1);
	return base == "" and rest == "/" and "" or rest;
end

local request = module:require "request" {
	allowed = function (a_request)
		return (page.file_at(rest_of(a_request)) and "GET, HEAD, " or "").."OPTIONS, POST";
	end;
	native = native; core = core; settings = settings; templates = templates;
	waiting = waiting; auth = auth; delivery = delivery; keys = keys; uploads = uploads; metrics = metrics; log = module:require "log";
};

local owner;
if settings.auth_mechanisms:contains("Token") then
	owner = module:require "token_owner" { auth = auth; tokens = tokens; rules = rules; waiting = waiting };
	module:require "commands" { auth = auth; owner = owner; rules = rules };
end

page = module:require "page" {
	native = native; waiting = waiting; owner = owner; rules = rules; read = request.read; base = base; uploads = uploads; page = settings.page;
};
local get = request.answering(function (a_request)
	return nil, page.serve(a_request, page.file_at(rest_of(a_request), a_request.headers.accept));
end);

-- Those that are over go when they are met; once a day, all are.
waiting.repeatedly(60 * 60, function ()
	tokens.tidy();
	return 24 * 60 * 60;
end);

local routes = {
	["POST"] = request.post; ["POST /*"] = request.post;
	["POST /@try"] = request.answering(request.identified(page.try));
	["POST /@tokens"] = request.answering(request.identified(page.manage));
};
for _, path in ipairs(page.paths) do
	routes["GET"..path], routes["HEAD"..path] = get, get;
end
-- Each path has its own, or mod_http's might be asked instead.
local options = {};
for route in pairs(routes) do options[route:gsub("^%u+", "OPTIONS")] = request.options; end
for route, handler in pairs(options) do routes[route] = handler; end

module:provides("http", {
	default_path = "/msg";
	streaming_uploads = true;
	route = routes;
	cors = settings.allow_origins and {
		enabled = true; origins = array.collect(settings.allow_origins:items());
		headers = { Authorization = true; ["Content-Type"] = true; ["Idempotency-Key"] = true; Prefer = true };
	};
});

-- mod_http answers 404 to a method without a route.
local http_host = module:get_option_string("http_host", module.host);
local place = " "..http_host..base;
module:wrap_object_event(http_server._events, false, function (handlers, event_name, event)
	local result = handlers(event_name, event);
	if result == nil then
		local method, rest = event_name:match("^(%w+)(.*)$");
		if method and rest:sub(1, #place) == place and (rest == place or rest:sub(#place + 1, #place + 1) == "/") then
			return request.refuse_method(event);
		end
	end
	return result;
end);

local count_renderings = metrics.counter("templates");
local show_no_more = metrics.show({
	derivations_waiting = auth.deriving; requests_waiting = waiting.count; rooms_joined = delivery.rooms_joined; keys = keys.count;
	tokens = tokens.count;
}, function ()
	for name, count in pairs(templates:renderings()) do
		count_renderings(count.rendered, name, "rendered");
		count_renderings(count.failed, name, "failed");
	end
end);

local function stop_all()
	waiting.stop();
	delivery.stop();
end

module:hook_global("server-stopping", stop_all, 100);
function module.save()
	return { unstored = keys.save() };
end
function module.restore(saved)
	if saved.unstored then keys.restore(saved.unstored); end
end
function module.unload()
	stop_all();
	show_no_more();
	core.close();
end
