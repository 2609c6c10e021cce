"""Every setting of the site. Values come from the environment through `env`, never from code elsewhere."""

from __future__ import annotations

import sys
from pathlib import Path

from r1web import env

BASE_DIR = Path(__file__).resolve().parent.parent
DATA_DIR = Path(env.text("R1WEB_DATA", str(BASE_DIR / "var"))).absolute()
DATA_DIR.mkdir(mode=0o700, parents=True, exist_ok=True)

DEBUG = env.boolean("R1WEB_DEBUG", False)
TESTING = "pytest" in sys.modules
SECRET_KEY_FILE = Path(env.text("R1WEB_SECRET_KEY_FILE", str(DATA_DIR / "secret_key")))
SECRET_KEY, *SECRET_KEY_FALLBACKS = env.secret_keys(SECRET_KEY_FILE)
HTTPS = env.boolean("R1WEB_HTTPS", False)
BEHIND_PROXY = env.boolean("R1WEB_BEHIND_PROXY", False)
PORT = env.integer("R1WEB_PORT", 8000, least=1, most=65535)
ALLOWED_HOSTS = env.words("R1WEB_HOSTS", "localhost,127.0.0.1,[::1]")
CSRF_TRUSTED_ORIGINS = [
    f"{scheme}://{host}{port}"
    for host in ALLOWED_HOSTS
    if host != "*"
    for scheme in ("http", "https")
    for port in ("", f":{PORT}")
]

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "axes",
    "channels",
    "accounts",
    "models_admin",
    "chat",
    "r1web",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "r1web.middleware.ContentSecurityPolicy",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "axes.middleware.AxesMiddleware",
]
ROOT_URLCONF = "r1web.urls"
ASGI_APPLICATION = "r1web.asgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.template.context_processors.i18n",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

DATABASE_URL = env.text("DATABASE_URL", f"sqlite://{DATA_DIR / 'db.sqlite3'}")
DATABASES = {"default": env.database(DATABASE_URL)}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
REDIS_URL = env.text("REDIS_URL", "redis://127.0.0.1:6379/0")
# Where machines that join find it; without it by REDIS_URL.
REDIS_ADDRESS = env.place("R1WEB_REDIS_ADDRESS", "")

AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = [
    "axes.backends.AxesStandaloneBackend",
    "django.contrib.auth.backends.ModelBackend",
]
PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.Argon2PasswordHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 8}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
LOGIN_URL = "/signin/"
LOGIN_REDIRECT_URL = "/"
LOGOUT_REDIRECT_URL = "/signin/"
AXES_FAILURE_LIMIT = 8
AXES_COOLOFF_TIME = 0.25  # hours
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_CLIENT_IP_CALLABLE = "r1web.client_address.of"
AXES_RESET_ON_SUCCESS = True
AXES_LOCKOUT_TEMPLATE = "accounts/locked_out.html"
AXES_ENABLE_ADMIN = False

LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English"), ("zh-hans", "简体中文")]
# As long as the session may last and longer: the row in the database is read at sign-in only.
LANGUAGE_COOKIE_AGE = 365 * 24 * 3600
LOCALE_PATHS = [BASE_DIR / "locale"]
USE_I18N = True
USE_TZ = True
TIME_ZONE = "UTC"

STATIC_URL = "static/"
STATICFILES_DIRS = [BASE_DIR / "static"]
STATIC_ROOT = DATA_DIR / "staticfiles"
STATIC_FILES = "whitenoise.storage.CompressedManifestStaticFilesStorage"
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": STATIC_FILES if not TESTING else "django.contrib.staticfiles.storage.StaticFilesStorage"
    },
}
WHITENOISE_KEEP_ONLY_HASHED_FILES = False
WHITENOISE_MAX_AGE = 60

SESSION_COOKIE_SECURE = HTTPS
CSRF_COOKIE_SECURE = HTTPS
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_AGE = 30 * 24 * 3600
SECURE_SSL_REDIRECT = False if not HTTPS else env.boolean("R1WEB_SSL_REDIRECT", True)
# Health is asked on loopback and by container runtimes, in plain http.
SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^livez$"]
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if BEHIND_PROXY else None
SECURE_HSTS_SECONDS = 365 * 24 * 3600 if HTTPS and env.boolean("R1WEB_HSTS", False) else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_SECONDS > 0
SECURE_HSTS_PRELOAD = SECURE_HSTS_SECONDS > 0
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin" if HTTPS else None
X_FRAME_OPTIONS = "DENY"
DATA_UPLOAD_MAX_MEMORY_SIZE = 4 * 1024 * 1024

# The demo model writes thousands of tokens a second; nobody would see a stream.
DEMO_TOKENS_PER_SECOND = env.integer("R1WEB_DEMO_TOKENS_PER_SECOND", 40, most=100_000)
ENGINE_HOST = env.text("R1WEB_ENGINE_HOST", "127.0.0.1")
DRAIN_SECONDS = env.integer("R1WEB_DRAIN_SECONDS", 30, most=3600)
RUNNER_STREAMS = env.integer("R1WEB_RUNNER_STREAMS", 250, least=1, most=5000)
WAITING_PER_USER = env.integer("R1WEB_WAITING_PER_USER", 50, least=1)
RUNNING_PER_USER = env.integer("R1WEB_RUNNING_PER_USER", 4, least=1)
STRANDED_SECONDS = env.integer("R1WEB_STRANDED_SECONDS", 900, least=1, most=86_400)
AFTER_LOSS = env.choice("R1WEB_AFTER_LOSS", "continue", of=("continue", "fail"))
SHOW_NAMES = env.boolean("R1WEB_SHOW_NAMES", False)
TITLES = env.boolean("R1WEB_TITLES", True)

# Where a model's name is looked up. Hugging Face's own tools read the same two variables.
OLLAMA_REGISTRY = env.address("OLLAMA_REGISTRY", "https://registry.ollama.ai")
HF_ENDPOINT = env.address("HF_ENDPOINT", "https://huggingface.co")
HF_TOKEN = env.text("HF_TOKEN", "")

MODELS_DIR = Path(env.text("R1WEB_MODELS", str(DATA_DIR / "models"))).absolute()
# Files from plain addresses come from these alone; a name allows port 443, name:port another one.
MODEL_HOSTS = env.words("R1WEB_MODEL_HOSTS", "")
MODELS_SPARE_BYTES = env.integer("R1WEB_MODELS_SPARE_MB", 1000) * 1_000_000

LOG_FORMAT = "%(asctime)s %(levelname)s %(name)s %(message)s"
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": LOG_FORMAT}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["console"], "level": env.text("R1WEB_LOG_LEVEL", "INFO")},
    "loggers": {"axes": {"level": "WARNING"}, "httpx": {"level": "WARNING"}, "django.request": {"level": "ERROR"}},
}
SILENCED_SYSTEM_CHECKS = [] if HTTPS else ["security.W004", "security.W008", "security.W012", "security.W016"]


def _broker(url: str) -> str:
    """Celery's name for the same Redis: a unix socket has a scheme of its own there."""
    return (
        url.replace("unix://", "redis+socket://", 1).replace("?db=", "?virtual_host=")
        if url.startswith("unix")
        else url
    )


CELERY_BROKER_URL = _broker(REDIS_URL)
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "visibility_timeout": 3600,
    "global_keyprefix": "r1:celery:",
    # Without them a Redis that hangs holds the leader, which holds the line. Longer than a blocking read of 1 s.
    "socket_timeout": 5,
    "socket_connect_timeout": 2,
}
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS = False
CELERY_TASK_DEFAULT_QUEUE = "run"
CELERY_ENABLE_UTC = True

# The process of an agent away from the site: whatever there asks for a row fails at once.
AGENT = env.boolean("R1WEB_AGENT", False)
if AGENT:
    INSTALLED_APPS = []
    DATABASES = {"default": {"ENGINE": "django.db.backends.dummy"}}
