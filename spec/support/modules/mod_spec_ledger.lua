-- A component that writes the text of each message that reaches it into a file, at once: one line each.

local path = assert(module:get_option_string("spec_ledger"), "spec_ledger is not set");

local function handle_message(event)
	local body = event.stanza:get_child_text("body");
	if event.stanza.attr.type ~= "error" and body then
		local file = assert(io.open(path, "a"));
		file:write(body:gsub("\n", " "), "\n");
		file:close();
	end
	return true;
end

module:hook("message/host", handle_message);
module:hook("message/bare", handle_message);
module:hook("message/full", handle_message);
