from collections.abc import Callable

import pytest


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("password = 'swordfish'", "swordfish"),
        ('password="Tr0ub4dor&3"', "Tr0ub4dor&3"),
        ("password = hunter42", "hunter42"),
        ("passwd: S3same!", "S3same!"),
        ("db_password: swordfish", "swordfish"),
        ("  password: swordfish  # change it", "swordfish"),
        ('{"password": "sword-fish"}', "sword-fish"),
        ('{\\"password\\": \\"sword-fish\\"}', "sword-fish"),
        ('{"client_secret": "abcdefghsecretvalue"}', "abcdefghsecretvalue"),
        ("API_KEY=abcdefghijkl", "abcdefghijkl"),
        ("export DB_PASSWORD=p4ss,(w0rd", "w0rd"),
        ("DB_PASSWORD=sw0rd&fish", "fish"),
        ("SECRET_KEY=django-insecure-k3y#with&marks", "django-insecure-k3y#with&marks"),
        ("ENV API_TOKEN=abcdef123456", "abcdef123456"),
        ("- STRIPE_KEY=abcdef123456", "abcdef123456"),
        ("A=1\\nDB_PASSWORD=sw0rdfish\\nB=2", "sw0rdfish"),
        ("https://x.example/?q=1&api_key=a1b2c3d4e5&page=2", "a1b2c3d4e5"),
        ("connect(token='a1b2c3d4e5')", "a1b2c3d4e5"),
        ("const apiKey = `a1b2c3d4e5`", "a1b2c3d4e5"),
        ('apiKey := "a1b2c3d4e5"', "a1b2c3d4e5"),
        ("'secret' => 'a1b2c3d4e5'", "a1b2c3d4e5"),
        ("config['api_key'] = 'a1b2c3d4e5'", "a1b2c3d4e5"),
        ('passphrase: "correct horse battery"', "correct horse battery"),
        ("signing_key = '0123456789abcdef0123456789abcdef'", "0123456789abcdef"),
        ("mysql --password sw0rdfish -h db", "sw0rdfish"),
        ("tool --api-key=a1b2c3d4e5 run", "a1b2c3d4e5"),
        ("my password is Sw0rdfish! and it fails", "Sw0rdfish"),
        ("datadog_api_key: 0123456789abcdef0123456789abcdef", "0123456789abcdef"),
    ],
)
def test_a_value_of_a_secret_named_key_is_masked(
    text: str, secret: str, masked: Callable[[str], str]
) -> None:
    result = masked(text)

    assert secret not in result
    assert "«SECRET:" in result
    assert masked(result) == result


@pytest.mark.parametrize(
    "text",
    [
        "password = get_password()",
        "api_key: str",
        'token = os.environ["X"]',
        "token=self.token",
        "token = os.getenv('API_TOKEN')",
        "password: Optional[str] = None",
        "password: string;",
        "password = password2",
        "def login(user, password=None):",
        "connect(password=settings.db_password)",
        'password = ""',
        "PASSWORD=$(pass show db)",
        'PASSWORD="${DB_PASSWORD}"',
        "API_KEY=<your key>",
        "API_KEY=your-api-key-here",
        "API_KEY=xxxxxxxxxxxxxxxx",
        "password: {{ vault_password }}",
        'password: "********"',
        "token: Token = next(tokens)",
        'pad_token = "<pad>"',
        'TOKEN_TYPE = "access_token"',
        "max_tokens = 4096",
        "token_count = 12345678",
        'key = "some_dictionary_key_2"',
        "for key in keys: key = key.strip()",
        "cache_key = f'{user}:{page}'",
        'primary_key="user_id"',
        "secret_name: db-credentials",
        "The password is required. A token is a string; the key is in the vault.",
        "password: at least 8 characters, see the docs",
        "compass: north, bypass: true, tokens: many",
        "if token == other_token1: return",
        "api_key = args.api_key",
        "password=%s",
        "DB_PASSWORD=get_password(1)",
        'raise ValueError("password: " + reason)',
    ],
)
def test_program_text_and_stand_ins_stay(
    text: str, masked: Callable[[str], str]
) -> None:
    assert masked(text) == text
