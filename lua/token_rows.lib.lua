-- How a sending token is shown, in a chat client, on the page and by prosodyctl: a row of texts. Each puts the texts into its own
-- format.

local datetime = require "util.datetime".datetime;

local show = module.import "display".show;

local function show_time(seconds) --> text, or nil
	return seconds and datetime(seconds) or nil;
end

-- The recipients, or as many as have `most_bytes`.
local function show_recipients(recipients, most_bytes) --> list of texts, or nil
	if not recipients then return nil; end
	local shown, bytes = {}, 0;
	for index, address in ipairs(recipients) do
		bytes = bytes + #address;
		if bytes > most_bytes then
			shown[index] = ("… (%d more)"):format(#recipients - index + 1);
			break;
		end
		shown[index] = show(address, #address);
	end
	return shown;
end

-- In the order in which they are shown. `webhook_secret` is not one of them: it is shown nowhere.
local columns = { "id", "label", "to", "as", "rate", "expires", "made", "used" };

-- `token` is an item of a list of token_store. `most_bytes` limits the recipients that are shown; without it, all are.
local function new(token, most_bytes) --> { column → text, or nil }; `to` is a list of texts; `signed`: whether it has a webhook's secret
	local entry = token.entry;
	return {
		id = token.id; label = entry.label and show(entry.label); to = show_recipients(entry.to, most_bytes or math.huge);
		as = entry.as; rate = entry.rate and ("%d"):format(entry.rate); expires = show_time(entry.expires); made = show_time(entry.made);
		used = show_time(token.used); signed = entry.webhook_secret ~= nil;
	};
end

return { columns = columns; new = new };
