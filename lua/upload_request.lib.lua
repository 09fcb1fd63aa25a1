-- Uploads a file to an upload service by HTTP PUT. The file goes to Prosody's own port if mod_http_file_share of this server is the service.

local http = require "net.http";
local jid_host = require "util.jid".host;
local now = require "util.time".monotonic;
local timer = require "util.timer";

local guard = module.import "guard";
local native = module.import "native";
local problems = module.import "problems";
local scheduler = module.import "scheduler";
local server = module.import "prosody";
local show = module.import "display".show;

local hosts = prosody.hosts;

local silence = 30; -- seconds for which an upload may make no progress
local patience = 120; -- seconds for an upload to end

-- The status of the service's HTTP server → the status of the answer.
local status_of = { [401] = 403; [403] = 403; [413] = 413; [429] = 503; [503] = 503; [507] = 503 };

local too_slow = -1; -- an upload's status if it was given up

-- Sends a request to a service of another server. It connects to public addresses only.
local function request_public(url, options, on_answer) --> request
	return server.send_request(url, options, on_answer, native.is_public);
end

-- An upload is { jid, request, status, body }. It has a status after its end.
local upload = {};
upload.__index = upload;

function upload:finish(status, body)
	if self.status then return; end
	self.status, self.body = status, body;
	self.wake();
end

-- Ends an upload that is too slow.
function upload:limit_time()
	local start_time, last_unsent, last_progress = now(), nil, now();
	self.timer = timer.add_task(1, function ()
		if self.status then return nil; end
		local time, left = now(), self.request and server.count_unsent(self.request);
		if left ~= last_unsent then last_unsent, last_progress = left, time; end
		if time - last_progress < silence and time - start_time < patience then return 1; end
		self:finish(too_slow);
	end);
end

function upload:start(slot, bytes)
	local host = jid_host(self.jid);
	local own_url, host_header = server.own_upload_url(host, slot.put_url);
	if own_url then slot.headers["Host"] = host_header; end
	local options = { method = "PUT"; headers = slot.headers; body = bytes; suppress_url = true };
	local ok, result = guard.call("The upload to "..self.jid, hosts[host] and http.request or request_public, own_url or slot.put_url, options,
		function (body, status) self:finish(status, body); end);
	if not ok then
		self.problem = result;
		return self.wake();
	end
	self.request = result;
	self:limit_time();
end

function upload:cancel()
	if self.request then server.cancel_request(self.request); end
end

function upload:result() --> true; or nil, problem
	local jid, status = self.jid, self.status;
	if status == too_slow then
		self:cancel();
		return nil, problems.new("gateway_timeout",
			("%s: the upload has made no progress for %d seconds, or has not ended in %d"):format(jid, silence, patience));
	elseif status == 0 then
		return nil, problems.new("bad_gateway", ("%s: the upload service cannot be reached by HTTP (%s)"):format(jid, show(tostring(self.body))));
	elseif status < 200 or status >= 300 then
		return nil, problems.of_status(status_of[status] or 502, ("%s: the upload was answered %d"):format(jid, status));
	end
	return true;
end

-- Uploads the bytes of a file to the URL of its slot (upload_slot.lib.lua).
local function put(sender, service, slot, bytes) --> true; or nil, problem
	local work = setmetatable({ jid = service.jid }, upload);
	local goes_on = scheduler.suspend(function (wake)
		work.wake = wake;
		work:start(slot, bytes);
	end, sender.account);
	if work.timer then timer.stop(work.timer); end -- the timer refers to the file
	if work.problem then
		return nil, work.problem;
	elseif not goes_on then
		work:cancel();
		return nil, problems.new("unloaded");
	end
	return work:result();
end

return { put = put };
