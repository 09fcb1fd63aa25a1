-- What `prosodyctl mod_post_msg check` has found: a list of { kind, sentence }. The kind is "url" (the module can be reached there), "problem"
-- (something does not work or is not safe), or "note" (it may be intended).

local findings = {};
findings.__index = findings;

function findings:url(sentence, ...)
	table.insert(self, { kind = "url"; sentence = sentence:format(...) });
end

function findings:problem(sentence, ...)
	table.insert(self, { kind = "problem"; sentence = sentence:format(...) });
end

function findings:note(sentence, ...)
	table.insert(self, { kind = "note"; sentence = sentence:format(...) });
end

return {
	new = function () --> findings
		return setmetatable({}, findings);
	end;
};
