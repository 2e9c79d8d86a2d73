### BEGIN HIDDEN TESTS
from importlib import reload

reload({module})  # an answer that replaces its check gains nothing
### END HIDDEN TESTS
print({check})
