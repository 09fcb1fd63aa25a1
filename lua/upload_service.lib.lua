-- Finds the upload service (XEP-0363) that a sender's host offers.

local jid_host = require "util.jid".host;
local jid_prep = require "util.jid".prep;
local st = require "util.stanza";

local expiring_cache = module.import "expiring_cache";
local scheduler = module.import "scheduler";
local sessions = module.import "sessions";

local hosts = prosody.hosts;

local xmlns_disco_info = "http://jabber.org/protocol/disco#info";
local xmlns_disco_items = "http://jabber.org/protocol/disco#items";
local xmlns_upload = "urn:xmpp:http:upload:0";

local patience = 5; -- seconds to wait for an answer of an address
local max_items = 100; -- items of a host that are asked

-- host → { jid, max_size }; a service is trusted for an hour.
local services = expiring_cache.new(100, 60 * 60);
-- Address at another server that is not a service now → { may_be_later }. Addresses of this server answer at once, and are asked each time.
local non_services = expiring_cache.new(100, 60);

-- The size limit in the answer of a service (XEP-0363, section 4).
local function max_size_in(query) --> bytes of a file, or nil
	for form in query:childtags("x", "jabber:x:data") do
		for field in form:childtags("field") do
			if field.attr.var == "max-file-size" then
				local size = field:get_child_text("value");
				return size and #size < 16 and size:find("^%d+$") and tonumber(size) or nil;
			end
		end
	end
end

-- Whether an address may be a service later, by its answer (nil for none): a component that is not connected yet answers with an error
-- of type "wait".
local function may_be_later(answer) --> boolean
	if not answer then return true; end
	local type, condition = answer:get_error();
	return type == "wait" or condition == "remote-server-not-found" or condition == "remote-server-timeout";
end

-- Reads the features of an address. A component that is not connected yet may name no feature except disco#info.
local function read_info(answer) --> <query/> of a service; or nil, whether the address may be a service later
	local query = answer and answer.attr.type == "result" and answer:get_child("query", xmlns_disco_info);
	if not query then return nil, may_be_later(answer); end
	local has_features = false;
	for feature in query:childtags("feature") do
		if feature.attr.var == xmlns_upload then return query; end
		if feature.attr.var ~= xmlns_disco_info then has_features = true; end
	end
	return nil, not has_features;
end

-- A search asks the sender's host and all of its items at once. It ends with the first service that answers, or once all have answered.
local search = {};
search.__index = search;

local function new_search(sender, on_end)
	return setmetatable({
		host = sender.host; session = sessions.new(sender, sessions.new_address(sender)); on_end = on_end;
		open_questions = 1; -- questions without an answer, plus 1 until all questions are asked, because an answer may come at once
		asked_jids = {}; -- address → true
		-- service: the result; later_jid: an address that may be a service later
	}, search);
end

function search:close_one()
	self.open_questions = self.open_questions - 1;
	if self.service or self.open_questions == 0 then self.on_end(); end
end

function search:ask(jid, payload, receive)
	self.open_questions = self.open_questions + 1;
	sessions.ask(self.session, { to = jid; payload = payload; seconds = patience }, function (answer)
		receive(answer);
		self:close_one();
	end);
end

function search:note_later(jid)
	if jid ~= self.host then self.later_jid = self.later_jid or jid; end
end

function search:ask_for_features(jid)
	local non_service = non_services:get(jid);
	if non_service then
		if non_service.may_be_later then self:note_later(jid); end
		return;
	end
	self.asked_jids[jid] = true;
	self:ask(jid, st.stanza("query", { xmlns = xmlns_disco_info }), function (answer)
		local query, later = read_info(answer);
		if query then
			self.service = self.service or { jid = jid; max_size = max_size_in(query) };
			return;
		end
		if not hosts[jid_host(jid)] then non_services:set(jid, { may_be_later = later }); end
		if later then self:note_later(jid); end
	end);
end

function search:ask_items(answer)
	local items, count = answer and answer:get_child("query", xmlns_disco_items), 0;
	if not items then return; end
	for item in items:childtags("item") do
		local jid = jid_prep(item.attr.jid);
		if self.service or count == max_items then return; end
		if jid and not item.attr.node and not self.asked_jids[jid] then
			count = count + 1;
			self:ask_for_features(jid);
		end
	end
end

function search:run()
	self:ask_for_features(self.host);
	self:ask(self.host, st.stanza("query", { xmlns = xmlns_disco_items }), function (answer)
		self:ask_items(answer);
	end);
	self:close_one();
end

-- The service that the sender's host offers: the host itself, or the first of its items that answers.
local function find(sender) --> service { jid, max_size }; or nil, an address that may be a service later
	local service = services:get(sender.host);
	if service then return service; end
	local work;
	local goes_on = scheduler.suspend(function (wake)
		work = new_search(sender, wake);
		work:run();
	end, sender.account);
	service = work and work.service;
	services:set(sender.host, service);
	if service or not goes_on then return service; end
	return nil, work.later_jid;
end

-- The next request looks for the service of the host again.
local function forget(host)
	services:set(host, nil);
end

return { find = find; forget = forget };
