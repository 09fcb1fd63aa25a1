-- Files on their way to an upload service (XEP-0363), in the sender's name.

local cache = require "util.cache";
local basic_resolver = require "net.resolvers.basic";
local http = require "net.http";
local jid_host = require "util.jid".host;
local jid_prep = require "util.jid".prep;
local new_id = require "util.id".medium;
local now = require "util.time".monotonic;
local st = require "util.stanza";
local timer = require "util.timer";

local guard = module.import "guard";
local counters = module.import "counters";
local metrics = module.import "metrics";
local native = module.import "native";
local problems = module.import "problems";
local scheduler = module.import "scheduler";
local show = module.import "display".show;

local hosts = prosody.hosts;
local count_files = metrics.counter("files");

local xmlns_disco = "http://jabber.org/protocol/disco";
local xmlns_upload = "urn:xmpp:http:upload:0";

-- Requests whose files are uploaded; each holds what it uploads in memory. An account may have as many as it leaves to others: 8
-- where it is the only one, half of the rest where it is the second.
local at_once = 16;
local patience = 20; -- seconds for a service to give a slot
local search_patience = 5; -- seconds for the items of a host to say what they are
local most_items = 100; -- items of a host that are asked
local silence = 30; -- seconds for which an upload may make no progress
local upload_patience = 120; -- seconds for it to end
local most_targets = 4; -- network addresses of a service of another server that are tried
local longest_header = 4096; -- bytes of a header's value
local found_for, others_for = 60 * 60, 60; -- seconds for which a search is remembered: a service, an address that is none

-- The headers that a slot may name (XEP-0363, section 5).
local allowed_headers = { authorization = "Authorization"; cookie = "Cookie"; expires = "Expires" };

-- Errors of a service that may be there again in a moment.
local is_away = {
	["item-not-found"] = true; ["recipient-unavailable"] = true; ["service-unavailable"] = true;
	["remote-server-not-found"] = true; ["remote-server-timeout"] = true;
};

local services = cache.new(100); -- sender's host → { jid, max_size, checked }
local others = cache.new(100); -- address at another server that is no service → { checked, away }
local uploading = guard.new_workers(); -- requests whose files are uploaded

counters.register("uploads", function () return (uploading.count()); end);

-- Sends an IQ of a sender, under a resource of this module's own. `answered` is called with the answer, or with nil after so
-- many seconds.
local function send_iq(sender, to, payload, seconds, answered)
	local address = sender.account.."/post_msg."..new_id();
	local iq = st.iq({ type = "get"; from = address; to = to; id = new_id() }):add_child(payload);
	local origin = {
		type = "c2s"; username = sender.username; host = sender.host; full_jid = address; secure = true; log = module._log;
		role = sender.role; send = function () return true; end;
	};
	local ok = guard.call("The IQ of "..sender.account.." to "..show(to), function ()
		module:context(sender.host):send_iq(iq, origin, seconds):next(function (event)
			answered(event.stanza);
		end, function (problem)
			answered(type(problem) == "table" and problem.context and problem.context.stanza or nil);
		end);
	end);
	if not ok then answered(nil); end
end

local function ask(sender, to, payload) --> the answer, a stanza; or nil and a problem
	local answer;
	local goes_on = scheduler.suspend(function (wake)
		send_iq(sender, to, payload, patience, function (stanza)
			answer = stanza;
			wake();
		end);
	end, sender.account);
	if not goes_on then return nil, problems.new("unloaded"); end
	if not answer then
		return nil, { status = 504; condition = "remote-server-timeout"; detail = to..": no answer in "..patience.." seconds" };
	elseif answer.attr.type == "error" then
		local problem = problems.of_error(answer, to);
		problem.unreached = nil;
		local err = answer:get_child("error");
		if err and err:get_child("file-too-large", xmlns_upload) then problem.status = 413; end
		return nil, problem;
	end
	return answer;
end

-- The most bytes of a file, as a service tells (XEP-0363, section 4).
local function max_size_in(query) --> number or nil
	for form in query:childtags("x", "jabber:x:data") do
		for field in form:childtags("field") do
			if field.attr.var == "max-file-size" then
				local size = field:get_child_text("value");
				return size and #size < 16 and size:find("^%d+$") and tonumber(size) or nil;
			end
		end
	end
end

-- What an address says of itself. A component that is not connected yet answers "wait", or names no feature but disco itself.
local function read_info(answer) --> the <query/> of a service, or nil; whether the address may be a service later
	local query = answer and answer.attr.type == "result" and answer:get_child("query", xmlns_disco.."#info");
	if not query then
		if not answer then return nil, true; end
		local kind, condition = answer:get_error();
		return nil, kind == "wait" or condition == "remote-server-not-found" or condition == "remote-server-timeout";
	end
	local features = 0;
	for feature in query:childtags("feature") do
		if feature.attr.var == xmlns_upload then return query; end
		if feature.attr.var ~= xmlns_disco.."#info" then features = features + 1; end
	end
	return nil, features == 0;
end

-- The service that the sender's host offers: itself, or the first of its items that answers. All are asked at once. An
-- answer of this server comes at once; what addresses at other servers answered is remembered.
local function look_for(sender) --> { jid, max_size }; or nil, and an address that may be a service later
	local found, away;
	local goes_on = scheduler.suspend(function (wake)
		local open, asked = 1, {};
		local function answered()
			open = open - 1;
			if open == 0 then wake(); end
		end
		local function look_at(jid)
			local other = others:get(jid);
			if other and now() - other.checked < others_for then
				away = away or other.away and jid;
				return;
			end
			open = open + 1;
			asked[jid] = true;
			send_iq(sender, jid, st.stanza("query", { xmlns = xmlns_disco.."#info" }), search_patience, function (answer)
				local query, later = read_info(answer);
				if query then
					found = found or { jid = jid; max_size = max_size_in(query) };
					wake();
				elseif not hosts[jid_host(jid)] then
					others:set(jid, { checked = now(); away = later });
				end
				away = away or later and jid ~= sender.host and jid;
				answered();
			end);
		end
		look_at(sender.host);
		send_iq(sender, sender.host, st.stanza("query", { xmlns = xmlns_disco.."#items" }), search_patience, function (answer)
			local items, count = answer and answer:get_child("query", xmlns_disco.."#items"), 0;
			for item in (items and items:childtags("item") or function () end) do
				local jid = jid_prep(item.attr.jid);
				if found or count == most_items then break; end
				if jid and not item.attr.node and not asked[jid] then
					count = count + 1;
					look_at(jid);
				end
			end
			answered();
		end);
	end, sender.account);
	if found or not goes_on then return found; end
	return nil, away or nil;
end

local function service_of(sender) --> { jid, max_size }; or nil, and an address that may be a service later
	local service = services:get(sender.host);
	if service and now() - service.checked <= found_for then return service; end
	local away;
	service, away = look_for(sender);
	if service then service.checked = now(); end
	services:set(sender.host, service);
	return service, away;
end

-- Whether a request may have a file. Where a service is away, the request is answered 503, and not as if there was none.
local function takes_files(sender) --> boolean
	local service, away = service_of(sender);
	return (service or away) ~= nil;
end

-- What a slot's header says; nil where it is nothing that a request can have.
local function header_value(header) --> string or nil
	local value = #header.tags == 0 and header:get_text();
	value = value and value:gsub("[\r\n]", ""); -- as XEP-0363, section 5, has it
	return value and value ~= "" and #value <= longest_header and not value:find("%c") and value or nil;
end

local function slot_for(sender, service, file, size) --> URL to put it to, headers, URL to get it from; or nil and a problem
	local answer, problem = ask(sender, service.jid,
		st.stanza("request", { xmlns = xmlns_upload; filename = file.name; size = ("%d"):format(size); ["content-type"] = file.type }));
	if not answer then
		if is_away[problem.condition] then
			services:set(sender.host, nil);
			problem.status = 503;
		end
		return nil, problem;
	end
	local slot = answer:get_child("slot", xmlns_upload);
	local put, get = slot and slot:get_child("put"), slot and slot:get_child("get");
	local put_url, is_https = native.link(put and put.attr.url or "");
	local get_url = native.link(get and get.attr.url or "");
	if not put_url or not get_url then
		return nil, { status = 502; detail = service.jid..": the upload service gives no slot with two URLs of http or https" };
	elseif not is_https and not hosts[jid_host(service.jid)] then
		return nil, { status = 502; detail = service.jid..": the upload service of another server wants the file without https" };
	end
	local headers = { ["Content-Type"] = file.type };
	for header in put:childtags("header") do
		local name = allowed_headers[tostring(header.attr.name):lower()];
		if name then
			headers[name] = header_value(header);
			if not headers[name] then
				return nil, { status = 502; detail = ("%s: the slot's header %s has a value that no request can have"):format(service.jid, name) };
			end
		end
	end
	return put_url, headers, get_url;
end

-- What a service's HTTP server answers → what the client is answered.
local status_of = { [401] = 403; [403] = 403; [413] = 413; [429] = 503; [503] = 503; [507] = 503 };

-- The public network addresses of a name.
local public_targets = {};
public_targets.__index = public_targets;

function public_targets:next(callback)
	self.resolver:next(function (kind, address, ...)
		if kind and not native.is_public(address) then
			self.last_error = "the address is not on the Internet";
			return self:next(callback);
		end
		self.tried = self.tried + 1;
		self.last_error = self.last_error or self.resolver.last_error;
		if not kind or self.tried > most_targets then return callback(nil); end
		callback(kind, address, ...);
	end);
end

-- Prosody's HTTP client (0.12.3, 13.0.1) has no setting for the addresses that it may connect to, and finds them by this function
-- before it returns. Names that were resolved beforehand could be other ones when the client resolves them again.
local function request_public(url, options, callback) --> request
	local new = basic_resolver.new;
	basic_resolver.new = function (name, ...)
		return setmetatable({ hostname = name; resolver = new(name, ...); tried = 0 }, public_targets);
	end;
	local ok, request = pcall(http.request, url, options, callback);
	basic_resolver.new = new;
	if not ok then error(request, 0); end
	return request;
end

-- How many bytes of a request wait to be sent. COMPAT The backends beside epoll do not tell.
local function unsent(request) --> number, or nil
	local conn = request.conn;
	local buffer = conn and conn.writebuffer;
	if type(buffer) == "table" and not buffer.length then -- COMPAT 0.12
		local size = 0;
		for _, part in ipairs(buffer) do size = size + #part; end
		return size;
	end
	return type(buffer) == "string" and #buffer or buffer and buffer:length() or nil;
end

-- Ends a request, and lets go of what is not sent yet, which Prosody would keep until the connection times out.
local function abandon(request)
	if not request then return; end
	request.body = nil;
	if request.conn then
		request.conn.writebuffer = nil;
		request.conn:close();
	end
end

local function put(sender, service, url, headers, bytes) --> problem
	local problem, code, what, patience_ends, request;
	local is_own = hosts[jid_host(service.jid)] ~= nil;
	local goes_on = scheduler.suspend(function (wake)
		local function ended(body, status)
			if code then return; end
			code, what = status, body;
			wake();
		end
		local ok;
		ok, request = guard.call("The upload to "..service.jid, is_own and http.request or request_public, url,
			{ method = "PUT"; headers = headers; body = bytes; suppress_url = true }, ended);
		if not ok then
			problem = request;
			return wake();
		end
		local begun, last_unsent, quiet_since = now(), nil, now();
		patience_ends = timer.add_task(1, function ()
			if code then return nil; end
			local time = now();
			local left = request and unsent(request);
			if left ~= last_unsent then last_unsent, quiet_since = left, time; end
			if time - quiet_since < silence and time - begun < upload_patience then return 1; end
			ended(nil, -1);
		end);
	end, sender.account);
	if patience_ends then timer.stop(patience_ends); end -- it holds the file
	if problem then
		return problem;
	elseif not goes_on then
		abandon(request);
		return problems.new("unloaded");
	elseif code == -1 then
		abandon(request);
		return { status = 504; detail = ("%s: the upload has made no progress for %d seconds, or has not ended in %d"):format(
			service.jid, silence, upload_patience) };
	elseif code == 0 then
		return { status = 502; detail = service.jid..": the upload service cannot be reached by HTTP ("..show(tostring(what))..")" };
	elseif code < 200 or code >= 300 then
		return { status = status_of[code] or 502; detail = ("%s: the upload was answered %d"):format(service.jid, code) };
	end
end

local function upload_one(sender, service, file, body) --> problem, URL
	local size = file.bytes and #file.bytes or file.last - file.first + 1;
	if service.max_size and size > service.max_size then
		return { status = 413; field = "file"; detail = ("%s has %d bytes, and %s takes %d"):format(file.name, size, service.jid, service.max_size) };
	end
	local put_url, headers, get_url = slot_for(sender, service, file, size);
	if not put_url then return headers; end
	return put(sender, service, put_url, headers, file.bytes or body:sub(file.first, file.last)), get_url;
end

local function upload_all(sender, batch, body, files) --> true; or nil, problem
	local service, away = service_of(sender);
	if not service then
		return nil, problems.new("unavailable", (away or sender.host)..": no upload service answers now; try again");
	end
	for index, file in ipairs(files) do
		local problem, url = upload_one(sender, service, file, body);
		problem = problem or batch:link(index, url);
		count_files(1, not problem and "uploaded" or problem.status < 500 and "refused" or "failed");
		if problem then return nil, problem; end
	end
	return true;
end

-- Uploads the files of a request, whose body this is, and links its messages to them.
local function upload(sender, batch, body) --> true; or nil, problem
	local files = batch:files();
	if not files[1] then return true; end
	local all, own = uploading.count(sender.account);
	if own + 1 > at_once - (all + 1) then
		return nil, problems.new("busy", "too many files are uploaded at once; try again in a moment");
	end
	uploading.enter(sender.account);
	local ok, problem = upload_all(sender, batch, body, files);
	uploading.leave();
	return ok, problem;
end

return { takes_files = takes_files; upload = upload };
