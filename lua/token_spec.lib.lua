-- The fields that a person fills in to make a sending token, each with its rule. A form, prosodyctl and the page pass the same fields, as
-- texts; an empty text is the same as no field.

local jid_prep = require "util.jid".prep;
local jid_split = require "util.jid".split;
local encodings = require "util.encodings";

local resourceprep, valid_utf8 = encodings.stringprep.resourceprep, encodings.utf8.valid;

local problems = module.import "problems";
local show = module.import "display".show;

local seconds_of = { s = 1; m = 60; h = 60 * 60; d = 24 * 60 * 60 };

-- Limits: numbers and bytes.
local max_days = 36500;
local max_recipients = 100;
local max_recipient_bytes = 16 * 1024; -- all recipients of a token together
local max_a_minute = 10000;
local longest_label = 200;
local longest_secret = 1000;
local longest_nick = 1023; -- RFC 7622, section 3.4
local longest_template = 16 * 1024;

-- A whole number from 1 to `most`.
local function read_number(text, most) --> number, or nil
	local number = tostring(text):match("^%d+$") and tonumber(text);
	return number and number >= 1 and number <= most and number or nil;
end

-- Whether a text is one line that XML permits and that is safe to show on a terminal.
local function is_line(text) --> boolean
	return valid_utf8(text) and show(text, #text) == text and not text:find("\239\191[\190\191]");
end

local function read_line(text, longest) --> text, or nil
	return #text <= longest and is_line(text) and text or nil;
end

-- "90d" → the time 90 days from now
local function read_duration(text, now) --> seconds since the epoch, or nil
	local count, unit = tostring(text):match("^(%d+)([smhd])$");
	local seconds = count and tonumber(count) * seconds_of[unit];
	return seconds and seconds > 0 and seconds <= max_days * seconds_of.d and now + seconds or nil;
end

local function read_days(text, now) --> seconds since the epoch, or nil
	local days = read_number(text, max_days);
	return days and now + days * seconds_of.d;
end

local booleans = { ["true"] = true, ["1"] = true, ["false"] = false, ["0"] = false };

local function read_boolean(text) --> boolean, or nil
	return booleans[text];
end

-- A nickname in a room (XEP-0045, section 7.2).
local function read_nick(text) --> text, or nil
	local normal = #text <= longest_nick and is_line(text) and resourceprep(text);
	return normal and normal ~= "" and normal or nil;
end

-- A bare address, or a domain.
local function read_recipient(text) --> normal form, or nil
	local normal = is_line(text) and jid_prep(text) or nil;
	local _, domain, resource = jid_split(normal);
	return domain and not resource and jid_prep(normal) == normal and normal or nil;
end

local function read_recipients(list) --> normal forms, or nil if the list has only empty texts; or nil and a sentence
	local bytes = 0;
	for _, text in ipairs(list) do bytes = bytes + #text; end
	if #list > max_recipients or bytes > max_recipient_bytes then
		return nil, ("a token has at most %d recipients, %d bytes in all; a domain stands for all of its addresses"):format(
			max_recipients, max_recipient_bytes);
	end
	local recipients;
	for _, text in ipairs(list) do
		if text ~= "" then
			local normal = read_recipient(text);
			if not normal then
				return nil, ('"%s" is not a domain, nor an address without resource'):format(show(text));
			end
			recipients = recipients or {};
			recipients[#recipients + 1] = normal;
		end
	end
	return recipients;
end

-- `read(text, now)` returns the value, or nil and perhaps its own sentence; `rule` says what the value must be. `member` is the name in
-- the entry, if it is not the name of the field.
local fields = {
	{
		name = "label"; rule = "the label is one line of text, of at most "..longest_label.." bytes";
		read = function (text) return read_line(text, longest_label); end;
	};
	{ name = "to"; read = read_recipients };
	{
		name = "as"; rule = "the name of a format has only letters, digits, dots, hyphens and underscores";
		read = function (text) return text:match("^%w[%w._-]*$"); end;
	};
	{ name = "get"; rule = "`get` is true or false"; read = read_boolean };
	{ name = "replies"; rule = "`replies` is true or false"; read = read_boolean };
	{ name = "nick"; rule = "the nickname is one line of text that a room accepts, of at most "..longest_nick.." bytes"; read = read_nick };
	{
		name = "template"; rule = "the template is UTF-8, of at most "..longest_template.." bytes";
		read = function (text) return #text <= longest_template and valid_utf8(text) and text or nil; end;
	};
	{
		name = "expires"; rule = "the time until a token expires is a whole number with s, m, h or d, such as 90d; at most "..max_days.."d";
		read = read_duration;
	};
	{
		name = "days"; member = "expires"; rule = "the number of days until a token expires is a whole number from 1 to "..max_days;
		read = read_days;
	};
	{
		name = "rate"; rule = "the number of messages a minute is a whole number from 1 to "..max_a_minute;
		read = function (text) return read_number(text, max_a_minute); end;
	};
	{
		name = "webhook_secret"; rule = "the webhook's secret is one line of text, of at most "..longest_secret.." bytes";
		read = function (text) return read_line(text, longest_secret); end;
	};
};

local token_spec = {};

-- Checks the format, and the template that takes its place.
local function check_format(entry, templates) --> sentence, name of the field; or nil if both are right
	local sentence = entry.as and templates:refusal(entry.as);
	if sentence then return sentence, "as"; end
	if not entry.template then return nil; end
	if entry.as ~= "json" then return "a template of a token needs the format json", "template"; end
	return templates:check(entry.template), "template";
end

-- `form`: a text for each field that is filled in; `to` is a list of texts. `now`: seconds since the epoch. `templates`: of the host, from
-- the native half.
function token_spec.read(form, now, templates) --> entry for the store of tokens; or nil, problem with the name of the field
	local entry = { made = now };
	for _, field in ipairs(fields) do
		local text = form[field.name];
		if text and text ~= "" then
			local value, sentence = field.read(text, now);
			if value == nil and (field.rule or sentence) then
				return nil, problems.new("unprocessable", sentence or field.rule, { field = field.name });
			end
			entry[field.member or field.name] = value or nil;
		end
	end
	local sentence, name = check_format(entry, templates);
	if sentence then return nil, problems.new("unprocessable", sentence, { field = name }); end
	return entry;
end

-- Whether the token of an entry may send to one address alone.
function token_spec.has_one_address(entry) --> boolean
	return entry.to ~= nil and #entry.to == 1 and entry.to[1]:find("@", 1, true) ~= nil;
end

return token_spec;
