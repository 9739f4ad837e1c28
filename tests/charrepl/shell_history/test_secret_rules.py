"""Secrets in histories: real shapes, with values that nobody has; and long things that are no secrets."""

from __future__ import annotations

import pytest

from charrepl.shell_history.history_files import Command
from charrepl.shell_history.secret_rules import RANDOM, RULES, secret_by, without_secrets

HEX = "0f1e2d3c4b5a69788796a5b4c3d2e1f0"
MIXED = "q7RtX2mPz9LkV4sWb8Nc"
# In two parts, so that no scanner takes them for real ones.
SECRETS = [
    "git clone https://gh" + f"p_{MIXED}{MIXED[:16]}@github.com/ada/notes",
    "gh auth login --with-token <<< github" + f"_pat_11ABCDEFG0{MIXED}_{MIXED}",
    "glab auth login --token gl" + f"pat-{MIXED}",
    "slackcat --token xo" + "xb-123456789012-123456789012-AbCdEfGhIjKl",
    "curl -X POST https://hooks.sl" + "ack.com/services/T00000000/B00000000/XXXXXXXX -d '{}'",
    "aws configure set aws_access_key_id AK" + "IAQ7RTX2MPZ9LKV4SW",
    "aws configure set aws_secret_access_key wJalrXUtnFEMIbPxRfiCYzqwertyuiopasdfghj",
    "AWS_SECRET_ACCESS_KEY=abc/def+ghi aws s3 ls",
    "curl 'https://maps.googleapis.com/maps/api/geocode/json?key=AI" + f"za{MIXED}{MIXED[:15]}'",
    "gcloud config set auth/access_token ya" + f"29.{MIXED}",
    "stripe listen --api-key sk" + "_live_51Habcdefghij",
    "export OPENAI_API_KEY=sk" + f"-proj-{MIXED}",
    "ANTHROPIC_API_KEY=sk" + f"-ant-api03-{MIXED} python chat.py",
    "npm config set //registry.npmjs.org/:_authToken np" + f"m_{MIXED}{MIXED[:16]}",
    "twine upload -u __token__ -p py" + f"pi-AgEIcHlwaS5vcmc{MIXED} dist/*",
    "huggingface-cli login --token h" + f"f_{MIXED}",
    "curl https://api.twilio.com -u A" + f"C{HEX}:{HEX}",
    "export SENDGRID=S" + f"G.{MIXED}.{MIXED}{MIXED}",
    "doctl auth init -t do" + f"p_v1_{HEX}{HEX}",
    "curl https://api.telegram.org/bot123456789:A" + f"A{MIXED}{MIXED[:13]}/getMe",
    "curl -d @m.json https://disc" + "ord.com/api/webhooks/123456789012345678/abcDEF-ghi",
    "vault login hv" + f"s.{MIXED}{MIXED}",
    "databricks configure --token <<< da" + f"pi{HEX}",
    "terraform login; echo abcdefghijklmn.at" + f"lasv1.{MIXED}{MIXED}",
    "curl -H 'X-Figma: fi" + f"gd_{MIXED}' https://api.figma.com",
    "tailscale up --authkey ts" + "key-auth-kFGiAS2CNTRL-abcdefgh",
    "jwt decode ey"
    + "JhbGciOiJIUzI1NiJ9.ey"
    + "JzdWIiOiIxMjM0In0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U",
    "az storage blob list --connection-string 'AccountName=a;Account" + f"Key={MIXED}{MIXED}=='",
    "export AZURE_STORAGE_SAS='?sv=2020&si" + f"g={MIXED}'",
    "psql postgres://ada:correct-horse@db.example.org/notes",
    "redis-cli -u redis://:hunter22@cache:6379",
    "git remote add o https://ada:hunter2@git.example.org/x.git",
    "curl 'https://api.example.org/v1/items?api_key=abcdef123456'",
    "curl https://example.org/hook?token=s3cr3t99",
    "export GITHUB_TOKEN=abcdef",
    "export MY_KEY=abcdef",
    "export DB_PASSWORD='correct horse'",
    "PGPASSWORD=hunter2 psql -h db",
    "set -x API_SECRET hunter2",
    "docker run -e MYSQL_ROOT_PASSWORD=hunter2 mysql",
    'curl -d \'{"user": "ada", "password": "hunter2"}\' https://example.org',
    "curl -d 'username=ada&password=hunter2' https://example.org/login",
    "mysql -u root -phunter2 shop",
    "mysqldump --password=hunter2 shop > shop.sql",
    "sshpass -p hunter2 ssh ada@host",
    "docker login -u ada -p hunter2 registry.example.org",
    "echo hunter2 | docker login --password-stdin",
    "echo hunter2 | sudo -S apt update",
    "echo 'ada:hunter2' | sudo chpasswd",
    "curl -u ada:hunter2 https://example.org",
    "wget --user=ada --password hunter2 https://example.org/a.zip",
    "curl -H 'Authorization: Bearer abcdef123' https://example.org",
    'curl -H "Authorization: Basic YWRhOmh1bnRlcjI=" https://example.org',
    "curl -H 'X-Api-Key: abcdef' https://example.org",
    "curl -H 'PRIVATE-TOKEN: abcdef' https://git.example.org/api",
    "curl --cookie 'session=1' -H 'Cookie: sid=abcdef' https://example.org",
    "cat > key.pem <<E\n-----BEGIN RSA PRIV" + "ATE KEY-----\nMIIE\nE",
    "echo AGE-SEC" + "RET-KEY-1QQPQYQSZ > key.txt",
    "ldapsearch -x -D cn=admin -w hunter2 -b dc=example",
    "unzip -P hunter2 letters.zip",
    "openssl enc -aes-256-cbc -pass pass:hunter2 -in a -out b",
    "smbclient //host/share -U ada%hunter2",
    "htpasswd -b .htpasswd ada hunter2",
    "mongo -u ada -p hunter2 admin",
    "redis-cli -a hunter2 ping",
    "xfreerdp /u:ada /p:hunter2 /v:host",
    "net use Z: //host/share hunter2",
    "ansible-playbook site.yml --extra-vars 'vault_password=hunter2'",
    "kubectl create secret generic db --from-literal=password=hunter2",
    "mysql -e \"ALTER USER ada IDENTIFIED BY 'hunter2'\"",
    "psql -c \"ALTER ROLE ada WITH PASSWORD 'hunter2'\"",
    "oathtool --totp -b JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP",
    f"./deploy {MIXED}{MIXED}",
    " echo not to be remembered",
    f"gpg --passphrase {MIXED[:8]} -d letters.gpg",
    "nmcli dev wifi connect home password 'correct horse'",
]
ORDINARY = [
    f"git show {HEX}0a1b2c3d",
    "git rebase --onto 4f2c1a9b7d3e8f6a5c0b1d2e3f4a5b6c7d8e9f0a main",
    f"docker pull nginx@sha256:{HEX}{HEX}",
    f"docker rm -f {HEX}{HEX}",
    "rm 123e4567-e89b-12d3-a456-426614174000.png",
    "cd /home/ada/Projects/MyApp2/src/main/java/org/example/Main3View",
    "vim ~/Library/Application\\ Support/Code/User/settings.json",
    "kubectl logs nginx-deployment-66b6c48dd5-x7k2p",
    "mkdir -p build/release",
    "ssh -p 2222 ada@host",
    "docker run -p 8080:80 -v $PWD:/src nginx",
    "docker compose -p shop up -d",
    "cp -p a b",
    'git commit -m "Fix the token parser: passwords may be empty"',
    "git log --author=Ada --pretty=format:%h",
    "curl -H 'Authorization: Bearer $TOKEN' https://example.org",
    'curl -u "$USER:$PASSWORD" https://example.org',
    'export GITHUB_TOKEN="$(pass show github)"',
    "export API_KEY=$(cat ~/.key)",
    "export PATH=$HOME/bin:$PATH",
    "curl http://localhost:8080/api/v1/items?page=2",
    "git clone https://github.com/ada/notes.git",
    "git clone git@github.com:ada/notes.git",
    "pip install -r requirements-development.txt --upgrade-strategy=eager",
    "sort --key=2 -t: names.txt",
    "ssh-keygen -t ed25519 -f ~/.ssh/id_ed25519_work",
    "tar czf backup-2024-01-02T03-04-05.tar.gz notes",
    "psql -h db -U ada -p 5433 notes",
    "mysql -u root -p shop",
    "passwd ada",
    "pytest tests/test_tokens.py -k 'password and not slow'",
    "python -m http.server 8000",
    "wget https://releases.ubuntu.com/22.04/ubuntu-22.04.3-desktop-amd64.iso",
    "echo hello | sudo tee /etc/motd",
    "PWD=/tmp pwd",
    "cat ~/.ssh/authorized_keys",
    "rsync -avz --progress photos/2023-08-14_IMG_20230814_123456.jpg nas:",
    "npm install --save-dev @typescript-eslint/eslint-plugin@5.62.0",
    "find . -name '*Password*'",
    "gcc -o main main.c -Wall -Wextra -O2 -march=native",
    "scp report.pdf ada@example.org:/srv/www/",
]


@pytest.mark.parametrize("command", SECRETS)
def test_a_command_with_a_secret_is_left_out(command: str) -> None:
    kept, left_out = without_secrets([Command(command), Command("ls")])
    assert kept == [Command("ls")]
    assert left_out.total() == 1


@pytest.mark.parametrize("command", ORDINARY)
def test_what_is_only_long_or_only_named_like_a_secret_stays(command: str) -> None:
    assert secret_by(command) == ""


def test_each_rule_counts_what_it_leaves_out() -> None:
    seen = {secret_by(command) for command in SECRETS}
    assert seen == {rule.name for rule in RULES} | {RANDOM}
    kept, left_out = without_secrets([Command(" ls"), Command("ls"), Command(" ls"), Command("ls")])
    assert kept == [Command("ls"), Command("ls")]
    assert left_out == {"begins with a space": 2}
