// Deno's fetch.
if (!(await fetch(Deno.args[0], { headers: { "X-Key": "#{SECRETS.KEY}" } })).ok) Deno.exit(1);
