-- Files on their way to an upload service (XEP-0363), in the sender's name.

local cache = require "util.cache";
local http = require "net.http";
local new_id = require "util.id".medium;
local now = require "util.time".monotonic;
local st = require "util.stanza";
local timer = require "util.timer";

local register_state = module:require "state";

local waiting, problem_of, count_files; -- given to init

local xmlns_disco = "http://jabber.org/protocol/disco";
local xmlns_upload = "urn:xmpp:http:upload:0";

local at_once = 8; -- requests whose files are uploaded; each holds what it uploads in memory
local patience = 20; -- seconds for a service to answer an IQ
local upload_patience = 120; -- seconds for it to take a file
local found_for, missing_for = 60 * 60, 60; -- seconds for which a service, or that there is none, is known

-- The headers that a slot may name (XEP-0363, section 5).
local allowed_headers = { authorization = "Authorization"; cookie = "Cookie"; expires = "Expires" };

local services = cache.new(100); -- host → { jid, max_size, checked }, without `jid` where there is none
local uploading = 0;

register_state("uploads", function () return uploading; end);

-- Sends an IQ of a sender, under a resource of this module's own.
local function ask(sender, to, payload) --> the answer, a stanza; or nil and a problem
	local address = sender.account.."/post_msg."..new_id();
	local iq = st.iq({ type = "get"; from = address; to = to; id = new_id() }):add_child(payload);
	local origin = {
		type = "c2s"; username = sender.username; host = sender.host; full_jid = address; secure = true; log = module._log;
		role = sender.role; send = function () return true; end;
	};
	local answer;
	local goes_on = waiting.suspend(function (wake)
		module:context(sender.host):send_iq(iq, origin, patience):next(function (event)
			answer = event.stanza;
			wake();
		end, function (err)
			answer = err.context and err.context.stanza;
			wake();
		end);
	end);
	if not goes_on then return nil, waiting.unloaded; end
	if not answer then
		return nil, { status = 504; condition = "remote-server-timeout"; detail = to..": no answer in "..patience.." seconds" };
	elseif answer.attr.type == "error" then
		local problem = problem_of(answer, to);
		problem.unreached = nil;
		if answer:get_child("error"):get_child("file-too-large", xmlns_upload) then problem.status = 413; end
		return nil, problem;
	end
	return answer;
end

-- The most bytes of a file, as a service tells (XEP-0363, section 4).
local function max_size_in(query) --> number or nil
	for form in query:childtags("x", "jabber:x:data") do
		for field in form:childtags("field") do
			if field.attr.var == "max-file-size" then return tonumber(field:get_child_text("value")); end
		end
	end
end

-- The service that the sender's host offers.
local function look_for(sender) --> { jid, max_size } or {}
	local items = ask(sender, sender.host, st.stanza("query", { xmlns = xmlns_disco.."#items" }));
	items = items and items.tags[1];
	for item in (items and items:childtags("item") or function () end) do
		local info = item.attr.jid and ask(sender, item.attr.jid, st.stanza("query", { xmlns = xmlns_disco.."#info" }));
		info = info and info.tags[1];
		for feature in (info and info:childtags("feature") or function () end) do
			if feature.attr.var == xmlns_upload then
				return { jid = item.attr.jid; max_size = max_size_in(info) };
			end
		end
	end
	return {};
end

local function service_of(sender) --> { jid, max_size } or nil
	local service = services:get(sender.host);
	if not service or now() - service.checked > (service.jid and found_for or missing_for) then
		service = look_for(sender);
		service.checked = now();
		services:set(sender.host, service);
	end
	return service.jid and service or nil;
end

local function slot_for(sender, service, file, size) --> URL to put it to, headers, URL to get it from; or nil and a problem
	local answer, problem = ask(sender, service.jid,
		st.stanza("request", { xmlns = xmlns_upload; filename = file.name; size = ("%d"):format(size); ["content-type"] = file.type }));
	if not answer then return nil, problem; end
	local slot = answer:get_child("slot", xmlns_upload);
	local put, get = slot and slot:get_child("put"), slot and slot:get_child("get");
	if not put or not get or not tostring(put.attr.url):find("^https?://") or not get.attr.url then
		return nil, { status = 502; detail = service.jid..": the upload service gives no slot that can be used" };
	end
	local headers = { ["Content-Type"] = file.type };
	for header in put:childtags("header") do
		local name = allowed_headers[tostring(header.attr.name):lower()];
		if name then headers[name] = header:get_text():gsub("[\r\n]", ""); end
	end
	return put.attr.url, headers, get.attr.url;
end

-- What a service's HTTP server answers → what the client is answered.
local status_of = { [401] = 403; [403] = 403; [413] = 413; [429] = 503; [503] = 503; [507] = 503 };

local function put(url, headers, bytes, jid) --> problem
	local code, what;
	local request, patience_ends;
	local goes_on = waiting.suspend(function (wake)
		request = http.request(url, { method = "PUT"; headers = headers; body = bytes; suppress_url = true }, function (body, status)
			code, what = status, body;
			wake();
		end);
		patience_ends = timer.add_task(upload_patience, function ()
			if not code then
				code = -1;
				wake();
			end
		end);
	end);
	if patience_ends and code ~= -1 then timer.stop(patience_ends); end -- it holds the file
	if not goes_on then return waiting.unloaded; end
	if code == -1 then
		if request and request.conn then request.conn:close(); end
		return { status = 504; detail = jid..": the upload has not ended in "..upload_patience.." seconds" };
	elseif code == 0 then
		return { status = 502; detail = jid..": the upload service cannot be reached by HTTP ("..tostring(what)..")" };
	elseif code < 200 or code >= 300 then
		return { status = status_of[code] or 502; detail = ("%s: the upload was answered %d"):format(jid, code) };
	end
end

local function upload_one(sender, service, file, body) --> problem, URL
	local size = file.bytes and #file.bytes or file.last - file.first + 1;
	if service.max_size and size > service.max_size then
		return { status = 413; field = "file"; detail = ("%s has %d bytes, and %s takes %d"):format(file.name, size, service.jid, service.max_size) };
	end
	local put_url, headers, get_url = slot_for(sender, service, file, size);
	if not put_url then return headers; end
	return put(put_url, headers, file.bytes or body:sub(file.first, file.last), service.jid), get_url;
end

local function upload_all(sender, batch, body, files) --> problem
	local service = service_of(sender);
	if not service then
		return { status = 503; detail = "the upload service is not there any more; try again" };
	end
	for index, file in ipairs(files) do
		local problem, url = upload_one(sender, service, file, body);
		problem = problem or batch:link(index, url);
		count_files(1, not problem and "uploaded" or problem.status < 500 and "refused" or "failed");
		if problem then return problem; end
	end
end

-- Uploads the files of a request, whose body this is, and links its messages to them.
local function upload(sender, batch, body) --> problem
	local files = batch:files();
	if not files[1] then return nil; end
	if uploading >= at_once then
		return { status = 503; detail = "too many files are uploaded at once; try again in a moment"; retry_after = 1 };
	end
	uploading = uploading + 1;
	local problem = upload_all(sender, batch, body, files);
	uploading = uploading - 1;
	return problem;
end

local function init(parts)
	waiting, problem_of = parts.waiting, parts.problem_of;
	count_files = parts.metrics.counter("files");
	return { service_of = service_of; upload = upload };
end

return init;
