-- Makes a row of texts from a sending token. Chat clients, the page and prosodyctl show the texts, each in its own format.

local datetime = require "util.datetime".datetime;

local show = module.import "display".show;

local function show_time(seconds) --> text, or nil
	return seconds and datetime(seconds) or nil;
end

-- The first recipients, `max_bytes` of them together.
local function show_recipients(recipients, max_bytes) --> list of texts, or nil
	if not recipients then return nil; end
	local shown, bytes = {}, 0;
	for index, address in ipairs(recipients) do
		bytes = bytes + #address;
		if bytes > max_bytes then
			shown[index] = ("… (%d more)"):format(#recipients - index + 1);
			break;
		end
		shown[index] = show(address, #address);
	end
	return shown;
end

-- The columns, in the order in which they are shown. `webhook_secret` is never shown.
local columns = { "id", "label", "to", "as", "template", "get", "replies", "nick", "rate", "expires", "made", "used" };

-- `token` is an item of a list of token_store. `max_bytes` limits the recipients that are shown; nil shows all.
local function new(token, max_bytes) --> { column → text, or nil }; `to` is a list of texts; `signed`: whether the token has a webhook's secret
	local entry = token.entry;
	return {
		id = token.id; label = entry.label and show(entry.label); to = show_recipients(entry.to, max_bytes or math.huge);
		as = entry.as; template = entry.template and "yes"; get = entry.get and "yes"; replies = entry.replies and "yes";
		nick = entry.nick and show(entry.nick); rate = entry.rate and ("%d"):format(entry.rate);
		expires = show_time(entry.expires); made = show_time(entry.made); used = show_time(token.used); signed = entry.webhook_secret ~= nil;
	};
end

return { columns = columns; new = new };
