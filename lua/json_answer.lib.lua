-- An answer that is JSON and is not cached: for the script of the page.

local function new(status, text) --> answer
	return {
		status_code = status; body = text;
		headers = { content_type = "application/json"; cache_control = "no-store" };
	};
end

return { new = new };
