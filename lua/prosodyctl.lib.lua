-- The command `prosodyctl mod_post_msg`. It runs in a process of its own, whether the server runs or not.

local check_configuration = module.import "check".check;
local command_line = module.import "command_line";
local templates = module.import "prosodyctl_templates";
local tokens = module.import "prosodyctl_tokens";

local function check() --> exit status
	local status = 0;
	for _, finding in ipairs(check_configuration()) do
		io.stdout:write(finding.kind, ": ", finding.sentence, "\n");
		if finding.kind == "problem" then status = 1; end
	end
	if status == 0 then io.stdout:write("No problems were found.\n"); end
	return status;
end

local groups = {
	{
		commands = { {
			name = "check"; run = check;
			description = "looks at the configuration, and prints a line for each problem, with its solution.\n"
				.."Its exit status is 0 if there are no problems.";
		} };
	};
	tokens;
	templates;
};

local usage = command_line.usage("prosodyctl mod_post_msg", groups);

-- "check" or "token add" → its command. No other word may follow "check".
local function find_command(words) --> command, or nil; index of the first word after its name
	for _, group in ipairs(groups) do
		for _, command in ipairs(group.commands) do
			if command.name == table.concat(words, " ", 1, math.min(#words, 2)) then return command, 3; end
		end
	end
end

local function asks_for_help(words) --> boolean
	for _, word in ipairs(words) do
		if word == "--help" or word == "-h" then return true; end
	end
	return false;
end

local function command(words) --> exit status
	if asks_for_help(words) then
		io.stdout:write(usage);
		return 0;
	end
	local found, first = find_command(words);
	if not found then
		io.stderr:write(usage);
		return 1;
	end
	local arguments, options = command_line.parse(found, words, first);
	if not arguments then return command_line.fail("%s", options); end
	-- An error here is one of the loader or of the settings, with a sentence for the administrator.
	local ok, status = pcall(found.run, arguments, options);
	if not ok then return command_line.fail("%s", tostring(status)); end
	return status;
end

return { command = command };
