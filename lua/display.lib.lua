-- Prepares texts of other people and servers for log lines, answers and terminals: one short line, without control characters and
-- marks of the writing direction.

local is_utf8 = require "util.encodings".utf8.valid;

local default_limit = 200; -- characters, if the caller sets no other limit

local replacement = "\239\191\189"; -- U+FFFD

-- Patterns of characters that are replaced by a space. Lua patterns match bytes, so a range of characters is one of their last bytes.
local invisible = {
	"%c"; -- U+0000 to U+001F, U+007F
	"\194[\128-\159]"; -- U+0080 to U+009F
	"\216\156"; -- U+061C
	"\226\128[\142\143\168-\174]"; -- U+200E, U+200F, U+2028 to U+202E
	"\226\129[\166-\169]"; -- U+2066 to U+2069
};

local function show(text, limit) --> string
	limit = limit or default_limit;
	if #text <= limit and not text:find("[^\32-\126]") then return text; end -- the usual case
	-- A character has at most 4 bytes. The cut may leave the first bytes of a character: they are removed too.
	local is_cut = #text > limit * 4;
	if is_cut then text = text:sub(1, limit * 4):gsub("[\192-\255][\128-\191]*$", ""); end
	if not is_utf8(text) then text = text:gsub("[\128-\255]+", replacement); end
	for _, pattern in ipairs(invisible) do text = text:gsub(pattern, " "); end
	local count = 0;
	for start in text:gmatch("()[^\128-\191]") do
		count = count + 1;
		if count > limit then
			text, is_cut = text:sub(1, start - 1), true;
			break;
		end
	end
	return is_cut and text.."…" or text;
end

return { show = show };
